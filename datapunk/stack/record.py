"""What a stack's supervisor writes down: which processes run, in which state. Other commands read it.

It's one JSON file in the stack's folder, replaced as a whole, so that a reader never sees half of one.
"""

from __future__ import annotations

import os
from enum import StrEnum
from pathlib import Path

import msgspec

from datapunk.stack.processes import Identity

FILE_NAME = "stack.json"


class PartState(StrEnum):
    """How far a part is."""

    WAITING = "waiting"
    STARTING = "starting"
    READY = "ready"
    EXTERNAL = "not ours"  # a server that was already running, used by its URL
    FAILED = "failed"
    STOPPING = "stopping"
    STOPPED = "stopped"


class PartStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One part, as shown to people and as recorded for whoever must clean up.

    `seconds` is how long it took until ready; `processes` are those that we started, the server last, and
    `stop_signal` is what stops it cleanly.
    """

    name: str
    title: str
    where: str
    state: PartState = PartState.WAITING
    version: str = ""
    seconds: float = 0.0
    detail: str = ""
    restarts: int = 0
    processes: tuple[Identity, ...] = ()
    stop_signal: int = 15


class StackRecord(msgspec.Struct, frozen=True, kw_only=True):
    """The whole stack.

    `is_complete`: it was started and its endpoints are written down; `error`: why it could not be started.
    """

    launcher: str
    supervisor: Identity | None = None
    parts: tuple[PartStatus, ...] = ()
    endpoints: dict[str, str] = msgspec.field(default_factory=dict[str, str])
    is_complete: bool = False
    error: str = ""

    @property
    def is_ready(self) -> bool:
        """Whether all parts can be used."""
        return bool(self.parts) and all(part.state in (PartState.READY, PartState.EXTERNAL) for part in self.parts)


def save_record(directory: Path, record: StackRecord) -> None:
    """Replace the record in `directory`."""
    path = directory / FILE_NAME
    partial = path.with_suffix(f".{os.getpid()}")
    partial.write_bytes(msgspec.json.format(msgspec.json.encode(record)))
    partial.replace(path)


def load_record(directory: Path) -> StackRecord | None:
    """The record in `directory`; None when there's none, or one that can't be read."""
    try:
        return msgspec.json.decode((directory / FILE_NAME).read_bytes(), type=StackRecord)
    except (FileNotFoundError, msgspec.DecodeError):
        return None


def remove_record(directory: Path) -> None:
    """Forget the record."""
    (directory / FILE_NAME).unlink(missing_ok=True)
