"""Histories for tests of archives, and what is in a store."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from msgspec.structs import replace
from psycopg import AsyncConnection

from datapunk.archive.exporting import Selection, export
from datapunk.archive.files import opened, records_of, written
from datapunk.archive.importing import import_records
from datapunk.archive.records import Trailer
from datapunk.store.append import AppendBatch, append
from datapunk.store.events import InboxEntry
from tests.events import OWNER, REGISTRY, deposits, entry

TABLES = ("events", "streams", "inbox", "schemas")


async def remember(conn: AsyncConnection[Any], deposits_each: int = 3) -> None:
    """Two accounts, in turns; a rejected command; schemas; some of it unpublished."""
    await REGISTRY.sync(conn)
    for number in range(deposits_each):
        for account in ("a", "b"):
            made = deposits(1, account=account, first=number + 1)
            (event,) = made.events
            command = decided(event.causation, event.stream, event.version)
            await append(conn, AppendBatch("accounts", OWNER, made.events, [number % 2], inbox=[command]))
    await append(conn, AppendBatch("accounts", OWNER, inbox=[decided(uuid4(), "accounts.account/a")]))


def decided(id: UUID, stream: str, version: int | None = None) -> InboxEntry:
    """The record of a command that led to this event, or to none."""
    versions = None if version is None else (version, version)
    return replace(entry(id, stream=stream, versions=versions), tenant="default")


async def save(conn: AsyncConnection[Any], path: Path, selection: Selection | None = None) -> Trailer:
    """Export to a file."""
    with written(str(path), None) as writer:
        return await export(conn, selection or Selection(), writer)


async def load(conn: AsyncConnection[Any], path: Path) -> tuple[Trailer, bool]:
    """Import from a file."""
    with opened(str(path)) as file:
        return await import_records(conn, records_of(file))


async def contents(conn: AsyncConnection[Any], table: str) -> list[tuple[Any, ...]]:
    """All rows, in some fixed order."""
    cursor = await conn.execute(f"select * from {table} order by {table}::text")  # type: ignore[arg-type]
    return await cursor.fetchall()
