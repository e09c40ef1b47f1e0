"""The outbox: which events were committed and not yet confirmed by the broker, a row a batch and shard."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection
from psycopg.rows import args_row

from datapunk.store.statements import statement


@dataclass(frozen=True, slots=True)
class OutboxRow:
    """The positions of a batch's events from one shard, and the process that was to publish them."""

    id: int
    shard: int
    owner: UUID
    positions: list[int]


async def unconfirmed(
    conn: AsyncConnection[Any], module: str, shards: Collection[int], *, older_than_s: float = 0.0
) -> list[OutboxRow]:
    """The rows of these shards, oldest first; only those of a certain age where asked."""
    async with conn.cursor(row_factory=args_row(OutboxRow)) as cursor:
        await cursor.execute(
            statement("query_outbox"),
            {"module": module, "shards": list(shards), "older_than_s": older_than_s},
        )
        return await cursor.fetchall()


async def delete(conn: AsyncConnection[Any], ids: Collection[int]) -> None:
    """Delete rows whose events the broker has confirmed."""
    if ids:
        await conn.execute(statement("delete_outbox"), {"ids": list(ids)})
