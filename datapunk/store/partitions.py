"""Partitions of events by position: made ahead, so that whoever appends finds one.

Appends touch only the last partition: its indexes stay small, whatever lies behind. See docs/adr/0010.
"""

from __future__ import annotations

from typing import Any

from psycopg import AsyncConnection

from datapunk.store.statements import statement


async def make_partitions(conn: AsyncConnection[Any]) -> int:
    """See that there's room for some millions of events more; nobody who reads or appends waits for it.

    Returns:
        How many were made, mostly none.
    """
    return await _number(conn, "make_partitions")


async def make_partition(conn: AsyncConnection[Any], position: int) -> int:
    """Make the partition for a position above all others; for whoever holds the lock of partitions.

    Returns:
        Where it ends.
    """
    return await _number(conn, "make_partition", position)


async def end_of_partitions(conn: AsyncConnection[Any]) -> int:
    """The first position that has no partition, and none above it has."""
    return await _number(conn, "end_of_partitions")


async def _number(conn: AsyncConnection[Any], name: str, *arguments: int) -> int:
    cursor = await conn.execute(statement(name), arguments)
    row = await cursor.fetchone()
    assert row is not None  # a function returns a row
    return int(row[0])
