"""A process that runs tests.specs.journal until SIGTERM, and writes down each point that its engine passes.

Its arguments: the file to write to, the name of the process, and a point at which it freezes, or nothing.
See tests/specs/tracing.py.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys

from datapunk.cli.run import crash_at
from datapunk.hook import Hook, nowhere, once_at
from datapunk.settings import load_settings
from datapunk.worker import Worker
from tests.specs.journal import journaling


def hook() -> Hook:
    """Note a point, then do there what was asked for: what's written survives a kill."""
    name, process, freezing = sys.argv[1:]
    os.environ["PGAPPNAME"] = process  # so that the store knows it, too
    file = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    freeze = once_at(freezing, lambda: os.kill(os.getpid(), signal.SIGSTOP)) if freezing else nowhere
    crash = crash_at()

    def at(here: str) -> None:
        os.write(file, f"{process} {here}\n".encode())
        freeze(here)
        crash(here)

    return at


async def main() -> None:
    """Run."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await Worker([journaling], load_settings(), hook()).run(stop)


if __name__ == "__main__":
    asyncio.run(main())
