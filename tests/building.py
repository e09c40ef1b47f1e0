"""Programs in other languages, built once for all processes of a run, and kept in .tools/built until they change."""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import subprocess
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
BUILT = ROOT / ".tools" / "built"
PATIENCE_S = 540  # for one command, downloads included
NOT_SOURCES = shutil.ignore_patterns("node_modules", "target", "README.md")  # what people's own builds leave there


@dataclass(frozen=True)
class Language:
    """How programs of one language are built and started.

    Attributes:
        tools: the programs it needs, by name, with how to get them.
        build: the command that builds, run in the program's folder.
        start: the command that starts it, with paths inside that folder.
    """

    tools: dict[str, str]
    build: Sequence[str]
    start: Sequence[str]


NODE = "Node.js 18 or later with npm (Debian: apt install nodejs npm)"
JAVA = "a JDK, 17 or later, and Maven (Debian: apt install default-jdk-headless maven)"
GO = "Go 1.21 or later (https://go.dev/dl)"


def node(script: str) -> Language:
    """A script, with the packages that its lock file names."""
    return Language({"node": NODE, "npm": NODE}, ["npm", "ci", "--no-audit", "--no-fund"], ["node", script])


def java(jar: str) -> Language:
    """What Maven makes."""
    return Language({"java": JAVA, "javac": JAVA, "mvn": JAVA}, ["mvn", "-q", "-B", "package"], ["java", "-jar", jar])


def go(program: str) -> Language:
    """One program."""
    return Language({"go": GO}, ["go", "build", "-o", program, "."], [program])


def built(source: Path, language: Language) -> list[str]:
    """The command that starts the program in `source`, which is built if it hasn't been as it is now.

    It's built in a copy, so that nothing but .tools/ changes.
    """
    for tool, remedy in language.tools.items():
        if shutil.which(tool) is None:
            pytest.fail(f"{tool} isn't on this machine: install {remedy}", pytrace=False)
    name = "-".join(source.relative_to(ROOT).parts)
    folder = BUILT / f"{name}-{_digest(source)}"
    with _locked(name):
        if not folder.exists():
            _build(source, language.build, folder, name)
    return [str(folder / part) if (folder / part).exists() else part for part in language.start]


def _build(source: Path, command: Sequence[str], folder: Path, name: str) -> None:
    for former in BUILT.glob(f"{name}-*"):
        shutil.rmtree(former)
    unfinished = BUILT / f"{name}-unfinished"
    shutil.copytree(source, unfinished, ignore=NOT_SOURCES)
    answer = subprocess.run(command, cwd=unfinished, capture_output=True, text=True, check=False, timeout=PATIENCE_S)
    if answer.returncode != 0:
        pytest.fail(f"`{' '.join(command)}` in {source}:\n{answer.stdout}{answer.stderr}", pytrace=False)
    unfinished.rename(folder)


def _digest(source: Path) -> str:
    digest = hashlib.sha256()
    left_out = NOT_SOURCES(str(source), [each.name for each in source.iterdir()])
    for file in sorted(source.rglob("*")):
        if file.is_file() and file.relative_to(source).parts[0] not in left_out:
            digest.update(f"{file.relative_to(source)}\0".encode() + file.read_bytes())
    return digest.hexdigest()[:12]


@contextmanager
def _locked(name: str) -> Generator[None]:
    """One process at a time; the others wait, and find it built."""
    BUILT.mkdir(parents=True, exist_ok=True)
    with (BUILT / f"{name}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
