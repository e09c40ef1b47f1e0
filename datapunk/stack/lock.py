"""One supervisor a folder: a lock that the kernel drops when its holder dies, however it dies."""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path
from types import TracebackType

FILE_NAME = "lock"
_LOOK_AGAIN_S = 0.05


class StackLock:
    """The right to start and stop servers for the stack in `directory`."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / FILE_NAME
        self._file: int | None = None

    def take(self, within_s: float = 0) -> bool:
        """Take the lock; False when somebody else still holds it after `within_s` seconds."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        file = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o644)
        deadline = time.monotonic() + within_s
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                if time.monotonic() >= deadline:
                    os.close(file)
                    return False
                time.sleep(_LOOK_AGAIN_S)
            else:
                self._file = file
                return True

    def release(self) -> None:
        """Give the lock back."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def __enter__(self) -> StackLock:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def is_locked(directory: Path) -> bool:
    """Whether a supervisor (or somebody cleaning up) is at work in `directory`."""
    if not (directory / FILE_NAME).exists():
        return False
    lock = StackLock(directory)
    if lock.take():
        lock.release()
        return False
    return True
