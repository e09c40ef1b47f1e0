"""The native launcher: the servers are processes of this machine, under one supervisor."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import ClassVar, Literal

import psutil

from datapunk.errors import StackError
from datapunk.stack.endpoints import remove_endpoints
from datapunk.stack.launcher import Launcher, OnChange
from datapunk.stack.leftovers import GRACE_S, stop_leftovers
from datapunk.stack.lock import StackLock, is_locked
from datapunk.stack.logs import follow_logs, last_lines, log_path, open_log
from datapunk.stack.plan import chosen
from datapunk.stack.record import StackRecord, load_record, remove_record
from datapunk.stack.supervise import supervise

SUPERVISOR_LOG = "supervisor"

_LOOK_AGAIN_S = 0.1

# A killed supervisor's guard may be cleaning up; it's done after this, or it was killed, too.
_LOCK_WITHIN_S = 2 * GRACE_S


class NativeLauncher(Launcher):
    """Processes on loopback, data and logs below the stack's folder."""

    name: ClassVar[Literal["native", "compose"]] = "native"

    def current(self) -> StackRecord | None:
        """See `Launcher.current`."""
        record = load_record(self.directory)
        if record is None or record.supervisor is None or record.supervisor.process() is None:
            return None
        return record

    def start(self, only: Collection[str], on_change: OnChange) -> StackRecord:
        """Start a supervisor that outlives us, and watch it until all is ready."""
        names = chosen(only)
        remove_stale_record(self.directory)
        log = open_log(self.directory, SUPERVISOR_LOG)
        with log.open("ab") as output:
            process = subprocess.Popen(  # noqa: S603  # our own interpreter and module
                [sys.executable, "-m", "datapunk.stack.supervise", str(self.directory.absolute()), *names],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        try:
            return self._wait_until_ready(process, on_change)
        except BaseException:  # an interrupt, mostly: what we began must not go on by itself
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
                process.wait()
            raise

    def wait(self, on_change: OnChange) -> StackRecord:
        """See `Launcher.wait`."""
        while (record := self.current()) is not None:
            on_change(record)
            if record.is_complete:
                return record
            time.sleep(_LOOK_AGAIN_S)
        raise StackError("the stack was starting, and has ended: see `datapunk logs`, or start it again")

    def run(self, only: Collection[str], on_change: OnChange, on_ready: OnChange) -> None:
        """See `Launcher.run`."""
        supervise(self.directory, only, on_change, on_ready)

    def stop(self) -> list[str]:
        """Ask the supervisor to end; if it doesn't, or was killed, end what it left."""
        if not self.directory.exists():
            return []
        record = self.current()
        stopped = [part.title for part in record.parts if part.processes] if record else []
        supervisor = record.supervisor.process() if record and record.supervisor else None
        if supervisor is not None:
            supervisor.send_signal(signal.SIGTERM)
        with StackLock(self.directory) as lock:
            if not lock.take(_LOCK_WITHIN_S):
                if supervisor is None or not supervisor.is_running():
                    raise StackError(f"somebody else is starting or stopping the stack in {self.directory}")
                supervisor.kill()
                lock.take(GRACE_S)
            stopped += [title for title in stop_leftovers(self.directory) if title not in stopped]
            remove_endpoints(self.directory)
        if supervisor is not None:
            psutil.wait_procs([supervisor], timeout=GRACE_S)
        return stopped

    def logs(self, names: Collection[str], lines: int, *, follow: bool) -> Iterator[tuple[str, str]]:
        """See `Launcher.logs`."""
        paths = {name: log_path(self.directory, name) for name in (names or chosen(()))}
        yield from follow_logs(paths, lines, follow=follow)

    def _wait_until_ready(self, process: subprocess.Popen[bytes], on_change: OnChange) -> StackRecord:
        while process.poll() is None:
            record = load_record(self.directory)
            if record is not None and record.supervisor and record.supervisor.pid == process.pid:
                on_change(record)
                if record.is_complete:
                    return record
            time.sleep(_LOOK_AGAIN_S)
        if self.current() is not None:  # somebody else was quicker
            return self.wait(on_change)
        record = load_record(self.directory)
        if record is not None:
            on_change(record)
        if record is not None and record.error:
            raise StackError(record.error)
        log = log_path(self.directory, SUPERVISOR_LOG)
        last_words = "\n".join(f"  | {line}" for line in last_lines(log, 8))
        raise StackError(f"the supervisor ended with exit code {process.returncode}\n{last_words}\n  all of it: {log}")


def remove_stale_record(directory: Path) -> None:
    """Forget why an earlier start failed. What still runs of a killed supervisor keeps its record."""
    record = load_record(directory)
    if record is not None and record.error and not is_locked(directory):
        remove_record(directory)
    directory.mkdir(parents=True, exist_ok=True)
