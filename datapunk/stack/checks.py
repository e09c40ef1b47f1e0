"""What `datapunk doctor` looks at on this machine, and what it advises."""

from __future__ import annotations

import platform
import resource
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from enum import StrEnum
from pathlib import Path

import msgspec
import psutil

from datapunk.errors import DatapunkError, PartMissing
from datapunk.settings import Settings
from datapunk.stack.asking import SERVERS
from datapunk.stack.choose import choose_launcher
from datapunk.stack.launcher import Launcher
from datapunk.stack.part import Part
from datapunk.stack.plan import part_from_settings, user_settings
from datapunk.stack.ports import complaint, is_free
from datapunk.stack.programs import INSTALLER
from datapunk.stack.record import PartState
from datapunk.stack.status import refreshed

OLDEST_PYTHON = (3, 11)

OLDEST = {"postgres": (18,), "rabbitmq": (3, 10), "redis": (6, 2), "temporal": (1, 24)}
"""The oldest server versions that Datapunk works with."""

GIB = 1024**3
NEEDED_DISK_BYTES, COMFORTABLE_DISK_BYTES = 2 * GIB, 10 * GIB
NEEDED_MEMORY_BYTES, COMFORTABLE_MEMORY_BYTES = 2 * GIB, 4 * GIB

# RabbitMQ and Postgres each hold hundreds of files and connections.
COMFORTABLE_OPEN_FILES = 4096


class Verdict(StrEnum):
    """How a check came out: `wrong` keeps Datapunk from working."""

    GOOD = "good"
    DOUBTFUL = "doubtful"
    WRONG = "wrong"


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that was looked at: what was found, and what to do about it when it isn't good."""

    name: str
    verdict: Verdict
    found: str
    remedy: str = ""


def examine(settings: Settings) -> Iterator[Finding]:
    """Look at everything, one after the other."""
    yield _python()
    yield _uv()
    launcher = choose_launcher(settings.directory)
    yield _engine(launcher)
    running = launcher.current()
    names = {part.name for part in running.parts} if running else set[str]()
    if running is not None:
        for part in refreshed(running).parts:
            is_good = part.state in (PartState.READY, PartState.EXTERNAL)
            remedy = "" if is_good else f"datapunk logs {part.name}"
            yield _finding(part.title, is_good, f"{part.version}, {part.state.value}: {part.where}", remedy)
    elif launcher.name == "native":
        parts = [part_from_settings(name, settings.directory, user_settings()) for name in SERVERS]
        for part in parts:
            yield _program(part)
        yield _ports(part for part in parts if part.name not in names)
    yield _room("Disk", _free_disk(settings.directory), NEEDED_DISK_BYTES, COMFORTABLE_DISK_BYTES)
    memory = psutil.virtual_memory().available
    yield _room("Memory", memory, NEEDED_MEMORY_BYTES, COMFORTABLE_MEMORY_BYTES)
    yield _open_files()


def _python() -> Finding:
    oldest = ".".join(str(number) for number in OLDEST_PYTHON)
    is_good = sys.version_info >= OLDEST_PYTHON
    return _finding("Python", is_good, platform.python_version(), f"install Python {oldest} or later")


def _uv() -> Finding:
    program = shutil.which("uv") or shutil.which("uv", path=str(Path.home() / ".local" / "bin"))
    if program is None:
        return Finding(
            name="uv",
            verdict=Verdict.DOUBTFUL,
            found="not installed",
            remedy=f"{INSTALLER} (to change packages)",
        )
    answer = subprocess.run([program, "--version"], capture_output=True, text=True, check=False)  # noqa: S603
    return Finding(name="uv", verdict=Verdict.GOOD, found=answer.stdout.strip().removeprefix("uv "))


def _engine(launcher: Launcher) -> Finding:
    how = {"compose": "answers: servers run as containers", "native": "not used: servers run natively"}
    return Finding(name="Container engine", verdict=Verdict.GOOD, found=how[launcher.name])


def _program(part: Part) -> Finding:
    try:
        version = part.installed()
    except PartMissing as error:
        # Temporal's SDK downloads the CLI by itself, where the network lets it.
        verdict = Verdict.DOUBTFUL if part.name == "temporal" else Verdict.WRONG
        return Finding(name=part.title, verdict=verdict, found="not installed", remedy=str(error))
    except DatapunkError as error:
        return Finding(name=part.title, verdict=Verdict.WRONG, found=str(error), remedy=f"run {INSTALLER}")
    numbers = tuple(int(number) for number in version.split(".") if number.isdigit())
    oldest = OLDEST[part.name]
    is_good = not numbers or numbers >= oldest
    wanted = ".".join(str(number) for number in oldest)
    return _finding(part.title, is_good, version or "installed", f"install version {wanted} or later")


def _ports(parts: Iterable[Part]) -> Finding:
    ports = [(part, port) for part in parts for port in part.ports]
    complaints = [complaint(part, port) for part, port in ports if not is_free(port.number)]
    numbers = ", ".join(str(port.number) for _, port in ports)
    found = f"{len(complaints)} of {len(ports)} taken" if complaints else f"free: {numbers}"
    return _finding("Ports", not complaints, found, "\n".join(complaints))


def _free_disk(directory: Path) -> int:
    place = directory.absolute()
    while not place.exists():
        place = place.parent
    return shutil.disk_usage(place).free


def _room(name: str, free: int, needed: int, comfortable: int) -> Finding:
    found = f"{free / GIB:.1f} GiB free"
    if free < needed:
        return Finding(name=name, verdict=Verdict.WRONG, found=found, remedy=f"free {needed / GIB:.0f} GiB at least")
    if free < comfortable:
        remedy = f"{comfortable / GIB:.0f} GiB are comfortable"
        return Finding(name=name, verdict=Verdict.DOUBTFUL, found=found, remedy=remedy)
    return Finding(name=name, verdict=Verdict.GOOD, found=found)


def _open_files() -> Finding:
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limit == resource.RLIM_INFINITY or limit >= COMFORTABLE_OPEN_FILES:
        return Finding(name="Open files", verdict=Verdict.GOOD, found=f"{limit} a process")
    remedy = f"ulimit -n {COMFORTABLE_OPEN_FILES}, before `datapunk up`"
    return Finding(name="Open files", verdict=Verdict.DOUBTFUL, found=f"{limit} a process", remedy=remedy)


def _finding(name: str, is_good: bool, found: str, remedy: str) -> Finding:
    if is_good:
        return Finding(name=name, verdict=Verdict.GOOD, found=found)
    return Finding(name=name, verdict=Verdict.WRONG, found=found, remedy=remedy)
