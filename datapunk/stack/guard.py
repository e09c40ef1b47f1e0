"""A small process that outlives a killed supervisor just long enough to stop the servers.

`python -m datapunk.stack.guard DIRECTORY` reads its standard input, a pipe whose other end only the
supervisor holds. A word means that all was stopped in order; an end without a word, that the supervisor died.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from datapunk.stack.leftovers import stop_leftovers
from datapunk.stack.lock import StackLock

_FAREWELL = b"done\n"

# Whoever takes the lock first cleans up: us, or a `datapunk up` that was quicker.
_LOCK_WITHIN_S = 2.0


class Guard:
    """The supervisor's end of it."""

    def __init__(self, directory: Path) -> None:
        self._process = subprocess.Popen(  # noqa: S603  # our own interpreter and module
            [sys.executable, "-m", "datapunk.stack.guard", str(directory.absolute())],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def dismiss(self) -> None:
        """All was stopped: the guard may go."""
        pipe = self._process.stdin
        if pipe is None:
            return
        try:
            pipe.write(_FAREWELL)
            pipe.close()
        except BrokenPipeError:
            pass  # it was killed; nothing is lost
        self._process.wait()


def main(directory: Path) -> None:
    """Wait for the supervisor's end, and clean up after it if it was not a good one."""
    if sys.stdin.buffer.read() == _FAREWELL:
        return
    with StackLock(directory) as lock:
        if lock.take(_LOCK_WITHIN_S):
            stop_leftovers(directory)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
