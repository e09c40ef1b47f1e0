"""A process that runs accounts until SIGTERM, or until it's killed at a point of the engine.

Its first argument may name other modules, or another release, as in `tests.chaos.next_accounts.module:next_accounts`,
with commas between them; `workflows` as the second one runs their workflows, too.
"""

from __future__ import annotations

import asyncio
import pkgutil
import signal
import sys

from datapunk.cli.run import crash_at
from datapunk.settings import load_settings
from datapunk.worker import Worker


async def main(releases: str = "tests.accounts.module:accounts", extra: str = "") -> None:
    """Run."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    modules = [pkgutil.resolve_name(name) for name in releases.split(",")]
    await Worker(modules, load_settings(), crash_at(), with_workflows=extra == "workflows").run(stop)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
