"""A process that runs accounts until SIGTERM, or until it's killed at a point of the engine."""

from __future__ import annotations

import asyncio
import signal

from datapunk.cli.run import crash_at
from datapunk.settings import load_settings
from datapunk.worker import Worker
from tests.accounts.module import accounts


async def main() -> None:
    """Run."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await Worker([accounts], load_settings(), crash_at()).run(stop)


if __name__ == "__main__":
    asyncio.run(main())
