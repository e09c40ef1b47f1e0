"""A process that rebuilds tests.specs.journal, and tells how far it is as points: `filling`, and then `filled`."""

from __future__ import annotations

import asyncio

import datapunk.rebuild
from datapunk.messages.registry import Registry
from datapunk.settings import load_settings
from tests.specs.journal import Journal, journaling
from tests.specs.traced_main import hook

datapunk.rebuild.NEAR_BATCHES = 0  # so that even a short history is filled in before the switch

if __name__ == "__main__":
    at = hook()
    asyncio.run(
        datapunk.rebuild.rebuild(
            Journal(),
            Registry.of([journaling]),
            load_settings(),
            lambda done, total: at("filled" if done == total else "filling"),
        )
    )
