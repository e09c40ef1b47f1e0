"""A database, a virtual host and a namespace of a test's own, gone afterwards."""

from __future__ import annotations

import asyncio
import base64
import http.client
import json
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from urllib.parse import unquote, urlsplit
from uuid import uuid4

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from datapunk.errors import BrokerError
from datapunk.settings import Settings
from datapunk.store.connection import connect
from datapunk.store.migrate import migrate

_ANSWER_WITHIN_S = 30


@contextmanager
def template_database(settings: Settings) -> Generator[str]:
    """A migrated database that others are copied from, which is quicker than migrating each; its name."""
    name = f"template_{uuid4().hex[:12]}"
    asyncio.run(migrate(make_conninfo(settings.database_url, dbname=name)))
    try:
        yield name
    finally:
        with psycopg.connect(_administration(settings), autocommit=True) as conn:
            conn.execute(sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(name)))


@asynccontextmanager
async def fresh_database(settings: Settings, template: str) -> AsyncGenerator[str]:
    """A database like another one, dropped afterwards; its URL."""
    name = f"test_{uuid4().hex[:12]}"
    create = sql.SQL("create database {} template {} strategy file_copy")
    async with await connect(_administration(settings)) as conn:
        await conn.execute(create.format(sql.Identifier(name), sql.Identifier(template)))
    try:
        yield urlsplit(settings.database_url)._replace(path=f"/{name}").geturl()
    finally:
        async with await connect(_administration(settings)) as conn:
            await conn.execute(sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(name)))


@asynccontextmanager
async def fresh_virtual_host(settings: Settings) -> AsyncGenerator[str]:
    """A virtual host of the broker, deleted afterwards; its URL."""
    name = f"test-{uuid4().hex[:12]}"
    place = urlsplit(settings.broker_url)
    everything = {"configure": ".*", "write": ".*", "read": ".*"}
    await asyncio.to_thread(_manage, settings, "PUT", f"/api/vhosts/{name}")
    try:
        user = place.username or "guest"
        await asyncio.to_thread(_manage, settings, "PUT", f"/api/permissions/{name}/{user}", everything)
        yield place._replace(path=f"/{name}").geturl()
    finally:
        await asyncio.to_thread(_manage, settings, "DELETE", f"/api/vhosts/{name}")


@asynccontextmanager
async def fresh_namespace(settings: Settings) -> AsyncGenerator[str]:
    """A namespace of Temporal's, with all that workflows here need, deleted afterwards; its name."""
    from temporalio.api.operatorservice.v1 import DeleteNamespaceRequest
    from temporalio.client import Client

    from datapunk.temporal.attributes import prepare_namespace

    name = f"test-{uuid4().hex[:12]}"
    client = await Client.connect(settings.temporal_address, namespace=name)
    await prepare_namespace(client)
    try:
        yield name
    finally:
        await client.operator_service.delete_namespace(DeleteNamespaceRequest(namespace=name))


def _administration(settings: Settings) -> str:
    return make_conninfo(settings.database_url, dbname="postgres")


def _manage(settings: Settings, method: str, path: str, body: dict[str, str] | None = None) -> None:
    """Ask RabbitMQ's HTTP API for a change.

    Raises:
        BrokerError: it doesn't make it.
    """
    place = urlsplit(settings.broker_management_url)
    opener = http.client.HTTPSConnection if place.scheme == "https" else http.client.HTTPConnection
    connection = opener(place.hostname or "127.0.0.1", place.port, timeout=_ANSWER_WITHIN_S)
    credentials = f"{unquote(place.username or 'guest')}:{unquote(place.password or 'guest')}"
    headers = {
        "Authorization": f"Basic {base64.b64encode(credentials.encode()).decode()}",
        "Content-Type": "application/json",
    }
    try:
        connection.request(method, path, json.dumps(body or {}), headers)
        answer = connection.getresponse()
        text = answer.read().decode(errors="replace")
    except (OSError, http.client.HTTPException) as error:
        raise BrokerError(f"RabbitMQ's HTTP API at {place.hostname}:{place.port}: {error}") from None
    finally:
        connection.close()
    if answer.status >= 300:
        raise BrokerError(f"RabbitMQ's HTTP API: {method} {path}: {answer.status} {answer.reason} {text[:200]}")
