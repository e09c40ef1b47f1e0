"""Snapshots: an actor's state at a version, so that it needn't be rebuilt from its first event."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from psycopg import AsyncConnection
from psycopg.rows import args_row

from datapunk.store.events import SnapshotData
from datapunk.store.statements import statement


async def load_many(conn: AsyncConnection[Any], addresses: Sequence[tuple[str, str]]) -> list[SnapshotData]:
    """The snapshots there are of these actors, given as tenant and stream."""
    if not addresses:
        return []
    tenants, streams = map(list, zip(*addresses, strict=True))
    async with conn.cursor(row_factory=args_row(SnapshotData), binary=True) as cursor:
        await cursor.execute(statement("query_snapshots"), {"tenants": tenants, "streams": streams})
        return await cursor.fetchall()
