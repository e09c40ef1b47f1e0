"""What every test of the whole may use: a database and a virtual host of its own, gone afterwards."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import httpx
import psycopg
import pytest
from psycopg import AsyncConnection, sql
from psycopg.conninfo import make_conninfo

from datapunk.settings import Settings, load_settings
from datapunk.store.connection import connect
from datapunk.store.migrate import migrate

pytest_plugins = ["tests.own_stack", "tests.servers"]


def _admin_url() -> str:
    return make_conninfo(load_settings().database_url, dbname="postgres")


@pytest.fixture(scope="session")
def template_database() -> Any:
    """A migrated database that tests copy theirs from."""
    name = f"template_{uuid4().hex[:12]}"
    asyncio.run(migrate(make_conninfo(load_settings().database_url, dbname=name)))
    yield name
    with psycopg.connect(_admin_url(), autocommit=True) as conn:
        conn.execute(sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(name)))


@pytest.fixture
async def database_url(template_database: str) -> AsyncIterator[str]:
    """A fresh, migrated database."""
    name = f"test_{uuid4().hex[:12]}"
    async with await connect(_admin_url()) as admin:
        await admin.execute(
            sql.SQL("create database {} template {} strategy file_copy").format(
                sql.Identifier(name), sql.Identifier(template_database)
            )
        )
    parts = urlsplit(load_settings().database_url)
    yield parts._replace(path=f"/{name}").geturl()
    async with await connect(_admin_url()) as admin:
        await admin.execute(sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(name)))


@pytest.fixture
async def broker_url() -> AsyncIterator[str]:
    """A fresh virtual host."""
    settings = load_settings()
    name = f"test-{uuid4().hex[:12]}"
    parts = urlsplit(settings.broker_url)
    async with httpx.AsyncClient(base_url=settings.broker_management_url, timeout=30) as management:
        (await management.put(f"/api/vhosts/{name}")).raise_for_status()
        everything = {"configure": ".*", "write": ".*", "read": ".*"}
        (await management.put(f"/api/permissions/{name}/{parts.username}", json=everything)).raise_for_status()
        yield parts._replace(path=f"/{name}").geturl()
        await management.delete(f"/api/vhosts/{name}")


@pytest.fixture
def settings(database_url: str, broker_url: str) -> Settings:
    """Settings with servers of one's own, and little patience."""
    return load_settings().model_copy(
        update={
            "database_url": database_url,
            "broker_url": broker_url,
            "heartbeat_s": 0.2,
            "member_timeout_s": 2.0,
            "shards": 4,
        }
    )


@pytest.fixture
async def connection(database_url: str) -> AsyncIterator[AsyncConnection[Any]]:
    """A connection to the fresh database."""
    async with await connect(database_url) as conn:
        yield conn
