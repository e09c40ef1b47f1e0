"""A supervisor's life: take the folder, start all, keep it running until told to end, stop all.

`python -m datapunk.stack.supervise DIRECTORY [PART…]` is what `datapunk up --detach` leaves running.
"""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
import time
from collections.abc import Collection, Generator
from pathlib import Path
from types import FrameType

from datapunk.errors import DatapunkError, StackError
from datapunk.stack.launcher import OnChange
from datapunk.stack.leftovers import GRACE_S
from datapunk.stack.lock import StackLock
from datapunk.stack.plan import plan_from_settings, user_settings
from datapunk.stack.record import StackRecord, load_record, save_record
from datapunk.stack.supervisor import Supervisor

_ENDINGS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_LOOK_AGAIN_S = 0.2


def supervise(directory: Path, only: Collection[str], on_change: OnChange, on_ready: OnChange) -> None:
    """Run the stack in `directory` until this process is told to end, then stop it.

    The first signal (Ctrl-C, SIGTERM, a closed terminal) stops it in order, a second one at once.

    Raises:
        StackError: it could not be started, or one runs there already; nothing of ours runs then.
        KeyboardInterrupt: told to end before all was ready.
    """
    with StackLock(directory) as lock:
        _take(lock, directory)
        try:
            plan = plan_from_settings(directory, user_settings(), only)
        except DatapunkError as error:
            save_record(directory, StackRecord(launcher="native", error=str(error)))
            raise
        supervisor = Supervisor(directory, plan, on_change)
        with _interrupts():
            supervisor.start()
            try:
                with contextlib.suppress(KeyboardInterrupt):
                    on_ready(supervisor.record)
                    supervisor.watch(threading.Event())
            finally:
                with _impatience(supervisor):
                    supervisor.stop()


def _take(lock: StackLock, directory: Path) -> None:
    deadline = time.monotonic() + GRACE_S
    while not lock.take(_LOOK_AGAIN_S):
        record = load_record(directory)
        is_alive = record is not None and record.supervisor is not None and record.supervisor.process() is not None
        # Without a live supervisor, the guard of a killed one may still be stopping its servers.
        if is_alive or time.monotonic() > deadline:
            raise StackError(f"a stack runs in {directory} already: see `datapunk status`")


@contextlib.contextmanager
def _interrupts() -> Generator[None]:
    """While this lasts, each signal that asks us to end is a KeyboardInterrupt."""
    before = {number: signal.signal(number, signal.default_int_handler) for number in _ENDINGS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def _impatience(supervisor: Supervisor) -> Generator[None]:
    """While this lasts, a signal makes the stopping abrupt."""

    def hurry(number: int, frame: FrameType | None) -> None:
        supervisor.hurry()

    before = {number: signal.signal(number, hurry) for number in _ENDINGS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def main(directory: Path, only: Collection[str]) -> int:
    """The background supervisor; returns its exit code."""

    def nobody_looks(record: StackRecord) -> None:
        return

    try:
        supervise(directory, only, nobody_looks, nobody_looks)
    except DatapunkError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2:]))
