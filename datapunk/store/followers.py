"""Checkpoints of those who follow all events and act outside of this database; see migrations/0009."""

from __future__ import annotations

from typing import Any

from psycopg import AsyncConnection

from datapunk.store.read import safe_position
from datapunk.store.statements import statement


async def enter_follower(conn: AsyncConnection[Any], name: str, *, history: bool) -> None:
    """Make sure that a follower has a checkpoint.

    Args:
        conn: where.
        name: of the follower.
        history: whether one that is new begins with the first event there is, or with the next one to come.
    """
    position = 0 if history else await safe_position(conn)
    await conn.execute(statement("insert_follower"), {"name": name, "position": position})


async def follower_position(conn: AsyncConnection[Any], name: str) -> int:
    """Up to where a follower has acted on all events."""
    cursor = await conn.execute(statement("query_follower"), {"name": name})
    row = await cursor.fetchone()
    assert row is not None  # it was entered before anybody follows
    return int(row[0])


async def move_follower(conn: AsyncConnection[Any], name: str, position: int) -> None:
    """Remember that it has acted on all events up to a position; never goes back."""
    await conn.execute(statement("move_follower"), {"name": name, "position": position})
