"""A working folder with a stack of its own, as a pytest plugin: for tests that start, stop or kill servers."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from datapunk.stack.asking import SERVERS
from datapunk.stack.logs import last_lines, log_path
from datapunk.stack.native import NativeLauncher
from datapunk.stack.plan import plan_on_free_ports
from datapunk.stack.processes import marked
from datapunk.stack.programs import find_program
from datapunk.stack.rabbitmq import SCRIPT_FOLDERS
from datapunk.stack.record import PartState, PartStatus, StackRecord, load_record
from datapunk.testing.servers import data_folder

WITHIN_S = 60


def nothing(record: StackRecord) -> None:
    """Nobody looks at the changes."""


def wait_until(is_so: Callable[[], bool], within_s: float = WITHIN_S) -> None:
    """Return when `is_so`; fail when it isn't by the deadline."""
    deadline = time.monotonic() + within_s
    while not is_so():
        assert time.monotonic() < deadline, f"not within {within_s} s"
        time.sleep(0.05)


@dataclass
class Place:
    """A working folder with a stack's settings in the environment."""

    folder: Path
    launcher: NativeLauncher

    @property
    def directory(self) -> Path:
        return self.folder / ".datapunk"

    def start(self, *only: str) -> StackRecord:
        return self.launcher.start(only, nothing)

    def processes(self) -> list[psutil.Process]:
        """All that runs of the stack: servers, their helpers and children."""
        record = load_record(self.directory)
        parts = record.parts if record else ()
        roots = [identity.process() for part in parts for identity in part.processes]
        found = [process for process in roots if process is not None]
        return [*found, *(child for process in found for child in process.children(recursive=True))]

    def part(self, name: str) -> PartStatus:
        """How one part is."""
        record = load_record(self.directory)
        assert record is not None
        return next(part for part in record.parts if part.name == name)

    def kill(self, name: str) -> None:
        """kill -9 of a server, unless it has just died by itself; the supervisor starts it again."""
        restarts = self.part(name).restarts
        process = self.part(name).processes[-1].process()
        if process is None:
            print(*last_lines(log_path(self.directory, name), 20), sep="\n")  # shown if the test fails
        else:
            process.kill()

        def is_back() -> bool:
            part = self.part(name)
            return part.restarts > restarts and part.state is PartState.READY

        wait_until(is_back)

    def rabbitmqctl(self, *arguments: str) -> None:
        """Tell the broker something, as its operators do."""
        server = self.part("rabbitmq").processes[-1].process()
        assert server is not None
        program = find_program("rabbitmqctl", also_in=SCRIPT_FOLDERS)
        assert program is not None
        subprocess.run([program, *arguments], env=server.environ(), check=True, capture_output=True, timeout=WITHIN_S)

    def supervisor(self) -> psutil.Process:
        record = load_record(self.directory)
        assert record is not None
        assert record.supervisor is not None
        return psutil.Process(record.supervisor.pid)

    def command(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run `datapunk` as a person would."""
        environment = {**os.environ, "COLUMNS": "200", **variables}
        line = [sys.executable, "-m", "datapunk.cli.main", *arguments]
        return subprocess.run(line, capture_output=True, text=True, check=False, env=environment, timeout=2 * WITHIN_S)

    def json(self, *arguments: str) -> object:
        answer = self.command(*arguments, "--json")
        return json.loads(answer.stdout)


def is_over(process: psutil.Process) -> bool:
    """Whether it ended (or only its parent still has to notice)."""
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    """A fresh working folder, entered, with every server's setting on a free port."""
    folder = Path(tempfile.mkdtemp(prefix="datapunk-stack-", dir=data_folder()))
    folder.chmod(0o755)  # root's account for Postgres can enter it, too
    monkeypatch.chdir(folder)
    monkeypatch.setenv("DATAPUNK_STACK", "native")
    for variable in [name for name in os.environ if name.startswith("DATAPUNK_") and name != "DATAPUNK_STACK"]:
        monkeypatch.delenv(variable)
    endpoints = {name: url for part in plan_on_free_ports(folder).parts for name, url in part.endpoints.items()}
    for server in SERVERS.values():
        for variable in server.variables:
            monkeypatch.setenv(variable, endpoints[variable])
    place = Place(folder, NativeLauncher(folder / ".datapunk"))
    yield place
    place.launcher.stop()
    assert marked(place.directory) == []
    shutil.rmtree(folder)
