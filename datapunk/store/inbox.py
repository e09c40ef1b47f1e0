"""The inbox: which commands were processed, and what was answered."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from msgspec.structs import replace
from psycopg import AsyncConnection
from psycopg.rows import args_row

from datapunk.store.arrays import Bigints, Texts, Uuids
from datapunk.store.events import CommandKey, InboxEntry
from datapunk.store.statements import statement

PRUNE_BATCH = 10_000  # rows a transaction


async def lookup_many(conn: AsyncConnection[Any], keys: Sequence[CommandKey]) -> list[InboxEntry]:
    """Those of these commands that were processed.

    Args:
        conn: where.
        keys: of the commands, each once.
    """
    if not keys:
        return []
    async with conn.cursor(row_factory=args_row(InboxEntry), binary=True) as cursor:
        columns = {"ids": Uuids.of([id for _, id in keys]), "tenants": Texts.of([tenant for tenant, _ in keys])}
        await cursor.execute(statement("query_inbox"), columns)
        return await _with_positions(conn, await cursor.fetchall())


async def _with_positions(conn: AsyncConnection[Any], entries: list[InboxEntry]) -> list[InboxEntry]:
    """With the positions of their last events; a query of its own, since most commands are new."""
    asked = [entry for entry in entries if entry.last_version is not None]
    if not asked:
        return entries
    columns = {
        "tenants": Texts.of([entry.tenant for entry in asked]),
        "streams": Texts.of([entry.stream for entry in asked]),
        "versions": Bigints.of([entry.last_version for entry in asked]),
    }
    cursor = await conn.execute(statement("query_versions"), columns)
    positions = {tuple(key): position for *key, position in await cursor.fetchall()}
    return [
        replace(entry, position=positions.get((entry.tenant, entry.stream, entry.last_version), 0)) for entry in entries
    ]


async def prune(conn: AsyncConnection[Any], older_than: timedelta) -> int:
    """Forget commands processed longer ago than this; a later retry of one would count as new.

    Returns:
        How many were forgotten.
    """
    forgotten = 0
    while True:
        cursor = await conn.execute(statement("prune_inbox"), {"older_than": older_than, "limit": PRUNE_BATCH})
        forgotten += cursor.rowcount
        if cursor.rowcount < PRUNE_BATCH:
            return forgotten
