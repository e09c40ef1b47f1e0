"""`tests.worker_main`, whose worker is killed while it puts bad rows among the dead letters, if it's to."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import Any

from datapunk.client import Client
from tests.worker_main import main
from workflows.lake.files import letters

letters.MAX_ROWS = 10
DIES = Path(os.environ["DIES_BETWEEN_LETTERS"])  # a file; who dies takes it along
bury, letters_sent = Client.bury, 0


async def bury_or_die(self: Client, *arguments: Any, **options: Any) -> None:
    global letters_sent
    await bury(self, *arguments, **options)
    letters_sent += 1
    if letters_sent == 2:
        die()


def die() -> None:
    if DIES.exists():
        DIES.unlink()
        os.kill(os.getpid(), signal.SIGKILL)


Client.bury = bury_or_die  # type: ignore[method-assign]

if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
