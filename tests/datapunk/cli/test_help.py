"""Help and completion: of everything, and quick."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import pytest
from typer.testing import CliRunner

from datapunk.cli.main import app, commands, load_command

ROOT = Path(__file__).parents[3]
SHELLS = ("bash", "zsh", "fish")
# What takes a while to load, and so is loaded by the commands that need it.
HEAVY = {
    "aio_pika",
    "fastapi",
    "fastavro",
    "msgspec",
    "opentelemetry",
    "prometheus_client",
    "psycopg",
    "pydantic",
    "structlog",
    "temporalio",
    "uvloop",
}


PLAIN = {"COLUMNS": "120", "NO_COLOR": "1"}


class Ended(NamedTuple):
    """How a command ended."""

    status: int
    out: str
    err: str


def run(*arguments: str, **environment: str) -> Ended:
    """`datapunk …`, in this process."""
    result = CliRunner().invoke(app, arguments, prog_name="datapunk", env=PLAIN | environment)
    return Ended(result.exit_code, result.stdout, result.stderr)


def run_alone(*arguments: str, **environment: str) -> Ended:
    """The same in a process of its own, as shells start it."""
    command = [sys.executable, "-m", "datapunk.cli.main", *arguments]
    environment = {**os.environ, **PLAIN, **environment}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    return Ended(done.returncode, done.stdout, done.stderr)


def every_command() -> list[tuple[str, ...]]:
    paths: list[tuple[str, ...]] = []
    for name in commands():
        paths.append((name,))
        paths += [(name, child) for child in getattr(load_command(name), "commands", {})]
    return paths


@pytest.mark.parametrize("path", every_command(), ids=" ".join)
def test_every_command_has_help_that_says_what_it_does(path: tuple[str, ...]) -> None:
    command = load_command(path[0])
    for name in path[1:]:
        command = command.commands[name]
    assert command.help
    undescribed = [each.name for each in command.params if not each.help and not getattr(each, "hidden", False)]
    assert undescribed == []


@pytest.mark.parametrize("name", commands())
def test_the_line_in_the_list_is_of_the_command_that_runs(name: str) -> None:
    answer = run(name, "--help")
    assert answer.status == 0, answer.err
    assert f"datapunk {name}" in answer.out


def test_help_lists_every_command_with_what_it_does() -> None:
    answer = run("--help")
    assert answer.status == 0
    for name, entry in commands().items():
        assert any(
            line.strip("│ ").startswith(f"{name} ") and entry.summary in line for line in answer.out.splitlines()
        )


def test_help_loads_nothing_that_it_does_not_need() -> None:
    code = (
        "import sys; sys.argv = ['datapunk', '--help']\n"
        "from datapunk.cli.main import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "print(*sorted({name.partition('.')[0] for name in sys.modules} - set(sys.stdlib_module_names)))"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(answer.stdout.splitlines()[-1].split())
    assert "typer" in loaded
    assert loaded & HEAVY == set()


def test_a_misspelt_command_is_wrong_usage() -> None:
    answer = run_alone("satus")
    assert answer.status == 2
    assert "No such command 'satus'" in answer.err


def test_the_version_is_shown() -> None:
    assert run_alone("--version").out == f"datapunk {version('datapunk')}\n"


@pytest.mark.parametrize("shell", SHELLS)
def test_there_is_completion_for_the_shell(shell: str) -> None:
    answer = run("--show-completion", shell)
    assert answer.status == 0
    assert "_DATAPUNK_COMPLETE" in answer.out


def asking(line: str) -> dict[str, str]:
    """How bash asks for what to offer for the last word of a line."""
    words = line.split(" ")
    return {"_DATAPUNK_COMPLETE": "complete_bash", "COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1)}


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("datapunk sen", ["send"]),
        ("datapunk pro", ["projections"]),
        ("datapunk schemas ch", ["check"]),
        ("datapunk send --ti", ["--timeout"]),
        ("datapunk run --ht", ["--http"]),
        ("datapunk send lake.Cre", ["lake.CreateDataset"]),
        ("datapunk query lake.Find", ["lake.FindRecords"]),
        ("datapunk run la", ["lake"]),
        ("datapunk send nothing.", []),
    ],
)
def test_it_completes(line: str, offered: list[str]) -> None:
    assert run(**asking(line)).out.split() == offered


def test_it_completes_when_a_shell_asks() -> None:
    assert run_alone(**asking("datapunk sen")).out.split() == ["send"]


def test_modules_bring_commands_of_their_own(tmp_path: Path) -> None:
    info = tmp_path / "brings_commands-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: brings-commands\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[datapunk.commands]\norders = brings_commands:app\nrun = nothing:app\n")
    (tmp_path / "brings_commands.py").write_text(
        "import typer\napp = typer.Typer()\n@app.callback()\ndef orders(): pass\n"
        "@app.command()\ndef count():\n    'Count.'\n    print('many')\n"
    )
    path = f"{tmp_path}:{ROOT}"
    assert run_alone("orders", "count", PYTHONPATH=path).out == "many\n"
    assert "orders" in run_alone("--help", PYTHONPATH=path).out
    assert "Run modules" in run_alone("run", "--help", PYTHONPATH=path).out  # ours stay ours
