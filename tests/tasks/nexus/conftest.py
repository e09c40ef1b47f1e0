"""Webhooks at work: Nexus and accounts, the process of tasks in this one, and a receiver."""

from __future__ import annotations

import os
from base64 import b64encode
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from datapunk.settings import Settings
from tests.command_line import CommandLine
from tests.receiving import Receiver, receiving

KEY = b64encode(b"k" * 32).decode()


@pytest.fixture
def settings(settings: Settings, redis_url: str, _webhook_settings: None) -> Settings:
    """Settings with a key for secrets."""
    return settings.model_copy(update={"secrets_keys": KEY, "redis_url": redis_url, "task_threads": 8})


@pytest.fixture(autouse=True)
def _webhook_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Little patience, and this machine may be delivered to."""
    values = {
        "ALLOWED_NETWORKS": '["127.0.0.0/8"]',
        "ALLOW_HTTP": "true",
        "FIRST_RETRY_S": "0.05",
        "LONGEST_RETRY_S": "0.5",
        "TIMEOUT_S": "5",
        "BREAKER_FAILURES": "1000",
    }
    for name, value in values.items():
        monkeypatch.setenv(f"DATAPUNK_WEBHOOKS_{name}", value)


@pytest.fixture
def datapunk(settings: Settings, tmp_path: Path) -> CommandLine:
    """The `datapunk` command, with these servers and these settings."""
    line = CommandLine(settings, tmp_path)
    line.environment |= {name: value for name, value in os.environ.items() if name.startswith("DATAPUNK_WEBHOOKS_")}
    return line


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    """It takes all that comes."""
    async with receiving() as receiver:
        yield receiver
