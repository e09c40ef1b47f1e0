"""`datapunk run --detach` and `datapunk down`: the platform in the background."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import psutil
import pytest

from datapunk import background
from tests.command_line import CommandLine


@pytest.fixture
async def directory(datapunk: CommandLine) -> AsyncIterator[Path]:
    """The folder of its record and log; what is left running there is stopped."""
    folder = datapunk.folder / ".datapunk"
    folder.mkdir()
    yield folder
    background.stop(folder)


async def test_it_works_once_the_command_returns_and_down_stops_it(
    datapunk: CommandLine, directory: Path, free_port: int
) -> None:
    ended = await datapunk("run", "accounts", "--http", "--detach", DATAPUNK_HTTP_PORT=str(free_port))
    assert ended.status == 0, ended.err
    process = background.find(directory)
    assert process is not None
    assert f"process {process.pid}" in ended.out
    assert "datapunk down" in ended.out
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{free_port}") as http:
        assert (await http.get("/health/live")).status_code == 200
    ended = await datapunk("down", "--json")
    assert ended.json == {"stopped": ["datapunk run"]}
    assert not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


async def test_a_second_one_is_the_first(datapunk: CommandLine, directory: Path) -> None:
    await datapunk("run", "accounts", "--detach")
    first = background.find(directory)
    ended = await datapunk("run", "accounts", "--detach")
    assert first is not None
    assert f"process {first.pid}" in ended.out


async def test_one_that_ends_at_once_is_told_with_its_last_words(datapunk: CommandLine, directory: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        ended = await datapunk("run", "accounts", "--http", "--detach", DATAPUNK_HTTP_PORT=port)
    assert ended.status == 1
    assert "it ended at once" in ended.err
    assert "DATAPUNK_HTTP_PORT" in ended.err
    assert background.find(directory) is None
