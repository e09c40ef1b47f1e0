"""A process that runs accounts, as `tests.worker_main` does, and writes down each point that its engine passes."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from pathlib import Path

from datapunk.cli.run import crash_at
from datapunk.settings import load_settings
from datapunk.worker import Worker
from tests.accounts.module import accounts

VARIABLE = "TRACE_FILE"


def traced(trace: Path, at: Callable[[str], None]) -> Callable[[str], None]:
    """Note a point before anything else happens there: what's written survives a kill."""
    file = trace.open("ab", buffering=0)

    def note(here: str) -> None:
        file.write(f"{here}\n".encode())
        at(here)

    return note


async def main() -> None:
    """Run."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await Worker([accounts], load_settings(), traced(Path(os.environ[VARIABLE]), crash_at())).run(stop)


if __name__ == "__main__":
    asyncio.run(main())
