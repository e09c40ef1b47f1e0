"""What every test of the whole may use beside the plugin: a second database and virtual host, and a connection."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator
from typing import Any

import pytest
from psycopg import AsyncConnection

from datapunk.settings import load_settings
from datapunk.store.connection import connect
from datapunk.testing.places import fresh_database, fresh_virtual_host
from tests.building import JAVA, ROOT, Language, built
from tests.properties import load_profile

pytest_plugins = ["datapunk.testing.plugin", "tests.browser", "tests.own_stack", "tests.servers"]
load_profile()

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # in the background of a script; what tests start would ignore it
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
async def second_database_url(template_database: str) -> AsyncIterator[str]:
    """Another fresh, migrated database."""
    async with fresh_database(load_settings(), template_database) as url:
        yield url


@pytest.fixture
async def second_broker_url() -> AsyncIterator[str]:
    """Another fresh virtual host."""
    async with fresh_virtual_host(load_settings()) as url:
        yield url


@pytest.fixture
async def connection(database_url: str) -> AsyncIterator[AsyncConnection[Any]]:
    """A connection to the fresh database."""
    async with await connect(database_url) as conn:
        yield conn


@pytest.fixture(scope="session")
def time_skipping_program() -> str:
    """Temporal's test server, as Maven has it: the SDK would download it from elsewhere."""
    tools = {"java": JAVA, "mvn": JAVA}
    (program,) = built(
        ROOT / "tests" / "time_skipping", Language(tools, ["mvn", "-q", "-B", "package"], ["temporal-test-server"])
    )
    return program
