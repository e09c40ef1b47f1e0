"""Starts the parts side by side, tells when each is ready, restarts what dies, stops all it started."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import psutil

from datapunk.errors import DatapunkError, NotAnswering, PartFailed, StackError
from datapunk.stack.asking import SERVERS
from datapunk.stack.endpoints import remove_endpoints, save_endpoints
from datapunk.stack.guard import Guard
from datapunk.stack.leftovers import GRACE_S, stop_leftovers
from datapunk.stack.logs import last_lines, log_path, open_log
from datapunk.stack.part import Part
from datapunk.stack.plan import Plan
from datapunk.stack.ports import check_ports
from datapunk.stack.processes import Identity, end, spawn, tree
from datapunk.stack.record import PartState, PartStatus, StackRecord, save_record

READY_WITHIN_S = 60.0
"""A part that doesn't answer by then has failed: a slow disk may double the usual 5 s, not more."""

_ASK_AGAIN_S = 0.1
_LOOK_AGAIN_S = 0.5

# A part that dies is started again at once, then after 1, 2, 4 … seconds.
_LONGEST_PAUSE_S = 30.0

# A part that ran this long before it died had recovered: the pauses start anew.
_RECOVERED_AFTER_S = 60.0


class Supervisor:
    """Runs one plan in one folder. Its caller holds the folder's lock.

    Args:
        directory: where data, logs and the record go.
        plan: what to start.
        on_change: called with the record whenever a part's state changes, from any thread, one at a time.
    """

    def __init__(self, directory: Path, plan: Plan, on_change: Callable[[StackRecord], None] | None = None) -> None:
        self._directory = directory
        self._plan = plan
        self._on_change = on_change
        self._changing = threading.Lock()
        self._stopping = threading.Event()
        self._processes: dict[str, list[subprocess.Popen[bytes]]] = {}
        self._guard: Guard | None = None
        self._is_complete = False
        self._endpoints = dict(plan.external_endpoints)
        self._statuses = {status.name: status for status in plan.external}
        for part in plan.parts:
            self._endpoints |= part.endpoints
            self._statuses[part.name] = PartStatus(
                name=part.name, title=part.title, where=part.where, stop_signal=part.stop_signal
            )

    @property
    def record(self) -> StackRecord:
        """How things stand."""
        return StackRecord(
            launcher="native",
            supervisor=Identity.of(psutil.Process().pid),
            parts=tuple(self._statuses[name] for name in SERVERS if name in self._statuses),
            endpoints=self._endpoints,
            is_complete=self._is_complete,
        )

    def start(self) -> None:
        """Start every part and return when all are ready.

        Raises:
            StackError: a part is missing, its port is taken, or it didn't become ready; nothing runs then.
        """
        try:
            (self._directory / "logs").mkdir(parents=True, exist_ok=True)
            stop_leftovers(self._directory)
            check_ports(self._plan.parts)
            self._changed()
            self._guard = Guard(self._directory)
            self._start_all()
            save_endpoints(self._directory, self._endpoints)
            self._is_complete = True
            self._changed()
        except BaseException as error:
            self.stop()
            if isinstance(error, DatapunkError):
                save_record(self._directory, StackRecord(launcher="native", parts=self.record.parts, error=str(error)))
            raise

    def watch(self, until: threading.Event) -> None:
        """Start again what dies, until `until` is set."""
        due: dict[str, float] = {}
        pauses: dict[str, float] = {}
        since = dict.fromkeys(self._processes, time.monotonic())
        while not until.wait(_LOOK_AGAIN_S):
            now = time.monotonic()
            for part in self._plan.parts:
                if self._server(part).poll() is None:
                    continue
                if part.name not in due:
                    pause = 0.0 if now - since[part.name] > _RECOVERED_AFTER_S else pauses.get(part.name, 0.0)
                    due[part.name] = now + pause
                    pauses[part.name] = min(_LONGEST_PAUSE_S, 2 * pause or 1.0)
                    self._set(part, state=PartState.FAILED, detail=self._how_it_ended(part))
                elif now >= due[part.name]:
                    del due[part.name]
                    self._start_again(part)
                    since[part.name] = time.monotonic()

    def stop(self) -> None:
        """Stop all that was started, side by side; return when it has ended."""
        self._stopping.set()
        parts = [part for part in self._plan.parts if part.name in self._processes]
        if parts:
            with ThreadPoolExecutor(len(parts)) as pool:
                list(pool.map(self._stop_part, parts))
        remove_endpoints(self._directory)
        stop_leftovers(self._directory)
        if self._guard is not None:
            self._guard.dismiss()
            self._guard = None

    def hurry(self) -> None:
        """Kill what is still stopping. Safe to call from a signal handler."""
        for status in self._statuses.values():
            for identity in status.processes:
                for process in tree(identity):
                    with contextlib.suppress(psutil.NoSuchProcess):
                        process.kill()

    # --- one part -----------------------------------------------------------------------------------

    def _start_all(self) -> None:
        failures: list[DatapunkError] = []

        def start(part: Part) -> None:
            try:
                self._start_part(part)
            except DatapunkError as error:
                failures.append(error)
                self._set(part, state=PartState.FAILED, detail=error.code.replace("_", " "))

        if not self._plan.parts:
            return
        with ThreadPoolExecutor(len(self._plan.parts)) as pool:
            started = [pool.submit(start, part) for part in self._plan.parts]
            try:
                for one in started:
                    one.result()
            except BaseException:
                self._stopping.set()  # interrupted: the others needn't get ready any more
                raise
        if failures:
            raise type(failures[0])("\n".join(str(failure) for failure in failures))

    def _start_part(self, part: Part) -> None:
        began = time.monotonic()
        self._set(part, state=PartState.STARTING)
        commands = part.prepare()
        log = open_log(self._directory, part.name)
        processes: list[subprocess.Popen[bytes]] = []
        self._processes[part.name] = processes
        for command in commands:
            if self._stopping.is_set():
                raise StackError(f"{part.title} was not started: stopping")
            try:
                processes.append(spawn(command, self._directory, log))
            except OSError as error:
                raise PartFailed(f"{part.title} does not start: {command.argv[0]}: {error}") from None
            self._set(part, processes=tuple(Identity.of(process.pid) for process in processes))
        version = self._wait_until_ready(part, began)
        part.finish()
        self._set(part, state=PartState.READY, version=version, seconds=time.monotonic() - began, detail="")

    def _wait_until_ready(self, part: Part, began: float) -> str:
        while True:
            try:
                return part.ask()
            except NotAnswering as error:
                reason = str(error)
            if self._server(part).poll() is not None:
                raise PartFailed(f"{part.title} {self._how_it_ended(part)}\n{self._last_words(part)}")
            if time.monotonic() - began > READY_WITHIN_S:
                raise PartFailed(
                    f"{part.title} did not become ready within {READY_WITHIN_S:.0f} s ({reason})\n"
                    f"{self._last_words(part)}"
                )
            if self._stopping.wait(_ASK_AGAIN_S):
                raise StackError(f"{part.title} was not waited for: stopping")

    def _start_again(self, part: Part) -> None:
        restarts = self._statuses[part.name].restarts + 1
        self._end_processes(part, signal.SIGKILL)  # what is left of it: helpers, children
        self._set(part, restarts=restarts)
        try:
            self._start_part(part)
        except DatapunkError as error:
            self._set(part, state=PartState.FAILED, detail=str(error).partition("\n")[0])

    def _stop_part(self, part: Part) -> None:
        self._set(part, state=PartState.STOPPING)
        self._end_processes(part, part.stop_quickly_signal if part.throwaway else part.stop_signal)
        self._set(part, state=PartState.STOPPED, processes=())

    def _end_processes(self, part: Part, how: signal.Signals) -> None:
        identities = self._statuses[part.name].processes
        for identity in reversed(identities):  # the server first, then what it needs
            end(identity, how if identity == identities[-1] else signal.SIGTERM, GRACE_S)
        for process in self._processes.get(part.name, ()):
            process.wait()

    def _server(self, part: Part) -> subprocess.Popen[bytes]:
        return self._processes[part.name][-1]

    def _how_it_ended(self, part: Part) -> str:
        code = self._server(part).returncode
        return f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"

    def _last_words(self, part: Part) -> str:
        path = log_path(self._directory, part.name)
        return "\n".join([*(f"  | {line}" for line in last_lines(path, 8)), f"  all of it: {path}"])

    # --- telling ------------------------------------------------------------------------------------

    def _set(self, part: Part, **changes: object) -> None:
        with self._changing:
            self._statuses[part.name] = msgspec.structs.replace(self._statuses[part.name], **changes)
        self._changed()

    def _changed(self) -> None:
        with self._changing:
            record = self.record
            save_record(self._directory, record)
            if self._on_change is not None:
                self._on_change(record)
