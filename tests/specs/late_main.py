"""A process that runs accounts, freezes before its first commit, and dies right after it: the commit comes late."""

from __future__ import annotations

import asyncio
import os
import signal

from datapunk.settings import load_settings
from datapunk.worker import Worker
from tests.accounts.module import accounts


def freeze_then_die(here: str) -> None:
    """What the engine tells where it is."""
    if here == "before_commit":
        os.kill(os.getpid(), signal.SIGSTOP)
    elif here == "after_commit":
        os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    asyncio.run(Worker([accounts], load_settings(), freeze_then_die).run(asyncio.Event()))
