"""The servers that tests need, started once a run by the process that leads it.

Servers that `DATAPUNK_*` variables name, and that answer, are used as they are; the others are started in a
folder of their own, and stopped at the end.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path

import psutil

from datapunk.errors import NotAnswering
from datapunk.stack.asking import SERVERS, ask_server
from datapunk.stack.running import running_stack

# A database is some 300 files: making them on a disk takes longer than most tests do.
_MEMORY = Path("/dev/shm")  # noqa: S108  # folders made in it have names that nobody can guess
_MEMORY_NEEDED = 4 * 1024**3  # bytes; several times what the servers of a run write

_running = contextlib.ExitStack()


def start_servers(names: Iterable[str]) -> None:
    """Make the `DATAPUNK_*` variables name servers that answer.

    Raises:
        StackError: they could not be started; `datapunk doctor` says what is missing.
    """
    wanted = set(names)
    missing = [name for name in SERVERS if name in wanted and not answers(name)]
    if not missing:
        return
    directory = Path(_running.enter_context(tempfile.TemporaryDirectory(prefix="datapunk-tests-", dir=data_folder())))
    directory.chmod(0o755)  # root's account for Postgres can enter it, too
    os.environ.update(_running.enter_context(running_stack(directory, only=missing)).variables)


def stop_servers() -> None:
    """Stop what this process started."""
    _running.close()


def data_folder() -> Path | None:
    """Where to make folders for servers that tests start: in memory if there's room, else the usual place (None)."""
    try:
        room = min(shutil.disk_usage(_MEMORY).free, psutil.virtual_memory().available)
    except OSError:
        return None
    return _MEMORY if room >= _MEMORY_NEEDED else None


def answers(name: str) -> bool:
    """Whether the server called `name` is named by `DATAPUNK_*` variables, and answers."""
    try:
        ask_server(name, os.environ)
    except (KeyError, NotAnswering):
        return False
    return True
