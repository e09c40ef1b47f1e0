"""The plugin in a project of an author's own: which servers a run starts, and what becomes of them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from datapunk.errors import NotAnswering
from datapunk.stack.asking import ask_server
from tests.command_line import ROOT

SHOW = """
from pathlib import Path
import pytest

@pytest.fixture(autouse=True)
def shown(settings):
    for name in ("broker_url", "broker_management_url", "database_url"):
        with Path("variables").open("a") as file:
            file.write(f"DATAPUNK_{name.upper()}={getattr(settings, name)}\\n")
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A new one."""
    command = [sys.executable, "-m", "datapunk.cli.main", "module", "new", "orders"]
    subprocess.run(command, cwd=tmp_path, check=True, stdout=subprocess.DEVNULL, timeout=60)
    return tmp_path / "orders"


def run_pytest(project: Path, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    """With no servers named."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("DATAPUNK_")}
    environment |= {"DATAPUNK_STACK": "native", "PYTHONPATH": f"{project}:{ROOT}", **more}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:randomly", *arguments]
    return subprocess.run(
        command, cwd=project, env=environment, capture_output=True, text=True, check=False, timeout=100
    )


@pytest.mark.servers
def test_servers_are_started_where_none_answer_and_stopped(project: Path) -> None:
    with (project / "tests/conftest.py").open("a") as file:
        file.write(SHOW)
    done = run_pytest(project, "tests/test_platform.py")
    assert "2 passed" in done.stdout, done.stdout + done.stderr
    variables = dict(line.split("=", 1) for line in (project / "variables").read_text().splitlines())
    for server in ("postgres", "rabbitmq"):
        with pytest.raises(NotAnswering):
            ask_server(server, variables)


def test_nothing_is_started_for_tests_that_need_nothing(project: Path) -> None:
    done = run_pytest(project, "-m", "not servers", PATH="/nowhere")
    assert "3 passed, 2 deselected" in done.stdout, done.stdout + done.stderr


def test_a_missing_server_is_told_without_a_traceback(project: Path) -> None:
    done = run_pytest(project, PATH="/nowhere")
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert "ERROR: no servers for the tests:" in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
