"""The command, with servers of the test's own."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from datapunk.client import Client
from datapunk.settings import Settings
from tests.accounts.module import accounts
from tests.command_line import CommandLine
from tests.working import working


@pytest.fixture
def datapunk(settings: Settings, tmp_path: Path) -> CommandLine:
    """`await datapunk("send", …)` runs a command; accounts are installed beside Lake."""
    return CommandLine(settings, tmp_path)


@pytest.fixture
async def client(settings: Settings) -> AsyncIterator[Client]:
    """A worker of accounts in this process, and a client of it."""
    async with working([accounts], settings) as client:
        yield client


@pytest.fixture
def free_port() -> int:
    """A port that nobody listens at."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]
