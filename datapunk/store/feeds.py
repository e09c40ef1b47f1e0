"""Feeds: what goes out of the platform to receivers, event by event; see migrations/0012.

A feed's checkpoint moves once all up to it was handed to delivery: what follows is at least once, so nobody's
checkpoint needs a fence, only never to be moved by two at a time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from psycopg import AsyncConnection
from psycopg.rows import args_row

from datapunk.store.statements import statement


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """How far a receiver's feed has come.

    Attributes:
        tenant: whose it is.
        receiver: its name.
        position: every event up to here, of those meant, was handed to delivery.
        started_by: the position of the event that said, latest, from where to start.
    """

    tenant: str
    receiver: str
    position: int
    started_by: int


class Feeds:
    """The feeds of one kind.

    Args:
        feed: the kind, as in `nexus.webhooks`.
    """

    def __init__(self, feed: str) -> None:
        self._feed = feed

    async def start(self, conn: AsyncConnection[Any], tenant: str, receiver: str, after: int, started_by: int) -> None:
        """Start a feed, or start it anew; nothing happens if that was done already."""
        await conn.execute(
            statement("start_feed"),
            {**self._named(tenant, receiver), "position": after, "started_by": started_by},
        )

    async def checkpoints(self, conn: AsyncConnection[Any]) -> list[Checkpoint]:
        """All feeds of this kind."""
        async with conn.cursor(row_factory=args_row(Checkpoint)) as cursor:
            await cursor.execute(statement("query_feeds"), {"feed": self._feed})
            return await cursor.fetchall()

    async def move(self, conn: AsyncConnection[Any], moves: Mapping[Checkpoint, int]) -> None:
        """Move checkpoints on, each to a position; those that somebody else moved, or started anew, stay."""
        await conn.execute(
            statement("move_feeds"),
            {
                "feed": self._feed,
                "tenants": [checkpoint.tenant for checkpoint in moves],
                "receivers": [checkpoint.receiver for checkpoint in moves],
                "positions": [checkpoint.position for checkpoint in moves],
                "starts": [checkpoint.started_by for checkpoint in moves],
                "reached": list(moves.values()),
            },
        )

    async def count_delivered(self, conn: AsyncConnection[Any], tenant: str, receiver: str) -> None:
        """A delivery was taken."""
        await conn.execute(statement("count_delivered"), self._named(tenant, receiver))

    async def count_failed(self, conn: AsyncConnection[Any], tenant: str, receiver: str, failure: str) -> None:
        """An attempt failed."""
        await conn.execute(statement("count_failed"), {**self._named(tenant, receiver), "failure": failure})

    async def count_dead(self, conn: AsyncConnection[Any], tenant: str, receiver: str) -> None:
        """A delivery was given up."""
        await conn.execute(statement("count_dead"), self._named(tenant, receiver))

    def _named(self, tenant: str, receiver: str) -> dict[str, Any]:
        return {"feed": self._feed, "tenant": tenant, "receiver": receiver}
