"""`datapunk lake …` in this process, whose start would take most of a test's time, and a worker of Lake."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from structlog.testing import capture_logs
from typer.testing import CliRunner

from datapunk.cli.main import app
from datapunk.settings import Settings
from tests.command_line import Ended
from tests.projections.lake.running import Lake, running_lake
from tests.working import environment

Datapunk = Callable[..., Awaitable[Ended]]


@pytest.fixture
def datapunk(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Datapunk:
    """`await datapunk("lake", "load", …)`, in the test's folder."""
    monkeypatch.chdir(tmp_path)
    variables = {name: value for name, value in environment(settings).items() if name.startswith("DATAPUNK_")}

    async def run(*arguments: str, **more: str) -> Ended:
        variables_then = {**variables, **more, "COLUMNS": "120", "NO_COLOR": "1"}
        runner = CliRunner()
        done = await asyncio.to_thread(runner.invoke, app, arguments, prog_name="datapunk", env=variables_then)
        return Ended(done.exit_code, done.stdout, done.stderr)

    return run


@pytest.fixture
async def lake(settings: Settings) -> AsyncIterator[Lake]:
    """A worker that runs Lake in this process, and a client of it."""
    with capture_logs():  # which would stand between the lines of a command
        async with running_lake(settings) as running:
            yield running
