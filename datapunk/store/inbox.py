"""The inbox: which commands were processed, and what was answered."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from psycopg import AsyncConnection
from psycopg.rows import args_row

from datapunk.store.arrays import Texts, Uuids
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
        return await cursor.fetchall()


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
