"""A broker and a database of its own for each test. In this repository they come from Datapunk's launcher."""

from __future__ import annotations

import os
from urllib.parse import quote, urlsplit

import pytest

pytest_plugins = ["datapunk.testing.plugin"]


@pytest.fixture
def broker(broker_url: str, database_url: str) -> str:
    """The transport's URL, for a fresh virtual host and a fresh database."""
    stream_port = urlsplit(os.environ.get("DATAPUNK_BROKER_STREAM_URL", "")).port or 5552
    rest = broker_url.partition("://")[2]
    return f"rabbitmq://{rest}?stream_port={stream_port}&lease_s=3&database={quote(database_url, safe='')}"
