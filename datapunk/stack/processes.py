"""Starting and ending processes so that none is left behind.

A process is known by its pid *and* its start time: pids are used again, and what we end must be what we
started. All that a part starts inherits `MARKER`, so that also what detached itself from its parent is found.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import psutil

from datapunk.stack.part import Command

MARKER = "DATAPUNK_STARTED_FOR"
"""The environment variable that every process of a stack carries: the stack's folder."""

# All that a server needs of our own environment; settings of the user's shell must not change a server.
_INHERITED = ("PATH", "LANG", "LC_ALL", "TMPDIR", "USER", "LOGNAME", "SHELL")

# Two readings of one process's start time differ by less than this; a reused pid's by far more.
_SAME_START_S = 0.05


@dataclass(frozen=True, slots=True)
class Identity:
    """One process, unmistakably: its pid, and when it started (seconds since the epoch)."""

    pid: int
    started: float

    @classmethod
    def of(cls, pid: int) -> Identity:
        """Identify a live process.

        Raises:
            psutil.NoSuchProcess: it has ended.
        """
        return cls(pid, psutil.Process(pid).create_time())

    def process(self) -> psutil.Process | None:
        """The process, if it still runs (a zombie does not)."""
        try:
            process = psutil.Process(self.pid)
            same = abs(process.create_time() - self.started) < _SAME_START_S
            return process if same and process.status() != psutil.STATUS_ZOMBIE else None
        except psutil.NoSuchProcess:
            return None


def spawn(command: Command, directory: Path, log: Path) -> subprocess.Popen[bytes]:
    """Start `command` in a session of its own (a Ctrl-C is ours to pass on), logging to `log`."""
    environment = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    environment |= {"HOME": str(Path.home()), **command.environment, MARKER: str(directory.absolute())}
    account = command.account
    with log.open("ab") as output:
        return subprocess.Popen(  # noqa: S603  # a server's program, found by its part
            list(command.argv),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environment,
            cwd="/",
            start_new_session=True,
            user=account.uid if account else None,
            group=account.gid if account else None,
            extra_groups=[] if account else None,
        )


def tree(identity: Identity) -> list[psutil.Process]:
    """The process and all that it started, as far as they run."""
    process = identity.process()
    if process is None:
        return []
    try:
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def marked(directory: Path) -> list[psutil.Process]:
    """All processes on this machine that were started for the stack in `directory`."""
    folder = str(directory.absolute())
    found: list[psutil.Process] = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(MARKER) == folder and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except (psutil.Error, OSError):
            continue  # ended meanwhile, or somebody else's
    return found


def end(identity: Identity, how: signal.Signals, grace_s: float) -> None:
    """Ask the process to stop by `how`; what of its tree is there after `grace_s` seconds is killed."""
    family = tree(identity)
    if not family:
        return
    if how == signal.SIGKILL:
        kill(family)
        return
    with contextlib.suppress(psutil.NoSuchProcess):
        family[0].send_signal(how)
    _, alive = psutil.wait_procs(family, timeout=grace_s)
    kill(alive)


def kill(processes: Iterable[psutil.Process], within_s: float = 10) -> None:
    """Kill them all and wait until they are gone."""
    processes = list(processes)
    for process in processes:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue
    psutil.wait_procs(processes, timeout=within_s)
