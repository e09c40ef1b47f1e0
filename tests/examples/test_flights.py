"""examples/flights, which `make demo` runs: with a slice of its data, against real servers, as its user sees it."""

from __future__ import annotations

import asyncio
import os
import re
import shlex
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from actors.lake.module import lake
from datapunk.client import Client
from datapunk.settings import Settings
from schemas.lake.commands import AppendRecords, DeleteDataset
from tests.working import working

ROOT = Path(__file__).parents[2]
ROWS = 1500
TIME_LIMIT_S = 60.0


@dataclass(frozen=True)
class Ran:
    """How a command ended, and what it printed."""

    status: int
    output: str


@dataclass(frozen=True)
class Shell:
    """Runs commands where a user would: in the root of the repository."""

    settings: Settings

    async def __call__(self, *command: str) -> Ran:
        names = self.settings.model_dump(exclude_none=True).items()
        variables = {f"DATAPUNK_{name.upper()}": str(value) for name, value in names}
        process = await asyncio.create_subprocess_exec(
            *command,
            cwd=ROOT,
            env={**os.environ, **variables, "COLUMNS": "80", "NO_COLOR": "1"},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        async with asyncio.timeout(TIME_LIMIT_S):
            output, _ = await process.communicate()
        return Ran(process.returncode or 0, output.decode())

    async def demo(self, *options: str) -> Ran:
        """Run the demo with a slice."""
        return await self(sys.executable, "-m", "examples.flights.demo", "--rows", str(ROWS), *options)


@pytest.fixture
def shell(settings: Settings) -> Shell:
    return Shell(settings)


@pytest.fixture
async def client(settings: Settings) -> AsyncIterator[Client]:
    """A worker that runs Lake."""
    async with working([lake], settings) as client:
        yield client


async def test_every_record_is_there(client: Client, shell: Shell) -> None:
    ran = await shell.demo()
    assert ran.status == 0, ran.output
    for table, records in (
        ("airlines", 16),
        ("airports", 1458),
        ("planes", 1500),
        ("weather", 1500),
        ("flights", 1500),
    ):
        row = re.search(rf"{table}-first-{ROWS} +│ +([\d,]+) │ +0 │ +([\d,]+) │ +([\d,]+) │ equal", ran.output)
        assert row is not None, ran.output
        assert {int(count.replace(",", "")) for count in row.groups()} == {records}


async def test_nothing_it_prints_is_cut(client: Client, shell: Shell) -> None:
    ran = await shell.demo()
    assert "…" not in ran.output
    assert "The longest departure delays" in ran.output


async def test_the_second_run_adds_nothing_and_says_so(client: Client, shell: Shell) -> None:
    first, second = await shell.demo(), await shell.demo()
    assert (first.status, second.status) == (0, 0), second.output
    assert "Nothing was added" not in first.output
    assert "Nothing was added" in second.output
    assert re.search(rf"flights-first-{ROWS} +│ +1,500 │ +1,500 │ +0 │ +1,500 │ equal", second.output), second.output


async def test_the_commands_it_prints_work(client: Client, shell: Shell) -> None:
    ran = await shell.demo()
    for what in ("The way of one command", "Another query"):
        printed = re.search(rf"{what}: +(.+)", ran.output)
        assert printed is not None, ran.output
        again = await shell(*shlex.split(printed[1]))
        assert again.status == 0, again.output


async def test_a_record_too_many_is_noticed(client: Client, shell: Shell) -> None:
    await shell.demo()
    await client.send(AppendRecords(records='[{"carrier":"XX","name":"Nobody"}]'), f"airlines-first-{ROWS}:0")
    ran = await shell.demo()
    assert ran.status == 1
    assert "different" in ran.output


async def test_a_deleted_dataset_is_told(client: Client, shell: Shell) -> None:
    await shell.demo()
    await client.send(DeleteDataset(), f"planes-first-{ROWS}")
    ran = await shell.demo()
    assert ran.status == 1
    assert "was deleted" in ran.output
    assert "To start afresh" in ran.output


async def test_without_lake_it_says_how_to_start_it(shell: Shell) -> None:
    ran = await shell.demo("--wait", "1")
    assert ran.status == 1
    assert "Lake doesn't answer" in ran.output
    assert "run --http --detach" in ran.output
    assert "Traceback" not in ran.output
