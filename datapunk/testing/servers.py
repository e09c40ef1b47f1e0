"""The servers that tests need, started once a run by the process that leads it.

Servers that `DATAPUNK_*` variables name, and that answer, are used as they are; the others are started in a
folder of their own, and stopped at the end.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterable
from pathlib import Path

from datapunk.errors import NotAnswering
from datapunk.stack.asking import SERVERS, ask_server
from datapunk.stack.running import running_stack

_running = contextlib.ExitStack()


def start_servers(names: Iterable[str]) -> None:
    """Make the `DATAPUNK_*` variables name servers that answer.

    Raises:
        StackError: they could not be started; `datapunk doctor` says what is missing.
    """
    missing = [name for name in SERVERS if name in set(names) and not answers(name)]
    if not missing:
        return
    directory = Path(_running.enter_context(tempfile.TemporaryDirectory(prefix="datapunk-tests-")))
    os.environ.update(_running.enter_context(running_stack(directory, only=missing)).variables)


def stop_servers() -> None:
    """Stop what this process started."""
    _running.close()


def answers(name: str) -> bool:
    """Whether the server called `name` is named by `DATAPUNK_*` variables, and answers."""
    try:
        ask_server(name, os.environ)
    except (KeyError, NotAnswering):
        return False
    return True
