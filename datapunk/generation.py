"""One generation of a projection: its tables, its checkpoint, and how a batch of events gets into them.

A projection is rebuilt by filling a new generation beside the one that serves reads. The serving one's tables
live in the schema `<module>_<name>`, one under construction in `<module>_<name>_g<number>`; the switch is a
renaming of schemas in one transaction, so that a statement sees the old tables or the new, never half.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import groupby
from operator import attrgetter
from typing import Any, cast

import psycopg
from psycopg import AsyncConnection, sql

from datapunk.errors import OwnershipLost
from datapunk.hook import Hook, nowhere
from datapunk.messages.codec import AVRO_BINARY
from datapunk.messages.message import Event
from datapunk.messages.registry import Registry
from datapunk.projection import Projection, Recorded, Rows
from datapunk.store.events import RecordedEvent
from datapunk.store.read import read_all
from datapunk.store.statements import statement


@dataclass(frozen=True, slots=True)
class Generation:
    """Where a projection's tables are and how far they are.

    Attributes:
        projection: what fills them.
        number: 1, 2, 3…: which generation.
        schema: the Postgres schema of its tables.
        position: all events up to here are applied.
        version: of the projection's code that built the tables.
    """

    projection: Projection
    number: int
    schema: str
    position: int
    version: int

    async def apply(
        self,
        conn: AsyncConnection[Any],
        registry: Registry,
        limit: int,
        *,
        until: int | None = None,
        at: Hook = nowhere,
    ) -> tuple[Generation, list[RecordedEvent]]:
        """Apply the next events, at most `limit`, in one transaction with the checkpoint.

        None are beyond `until`, which another generation has reached before. What the database refuses is tried
        again with half as many events, down to one.

        Returns:
            The generation as it is then, and the events that were applied; at the end of history the position
            stays as it was.

        Raises:
            OwnershipLost: if somebody else moved this checkpoint, or switched to another generation.
        """
        return await self._advance(conn, registry, limit, until=until, moves=True, at=at)

    async def write_until(self, conn: AsyncConnection[Any], registry: Registry, until: int, limit: int) -> None:
        """Apply what is left up to a position, and leave the checkpoint where it is: for tables soon thrown away."""
        reached = self
        while reached.position < until:
            reached, _ = await reached._advance(conn, registry, limit, until=until, moves=False)

    async def _advance(
        self,
        conn: AsyncConnection[Any],
        registry: Registry,
        limit: int,
        *,
        until: int | None,
        moves: bool,
        at: Hook = nowhere,
    ) -> tuple[Generation, list[RecordedEvent]]:
        types = [event.message_type for event in self.projection.handlers]
        while True:
            events, reached = await read_all(conn, self.position, limit, types=types, until=until)
            if reached == self.position:
                return self, []
            at("before_checkpoint")
            try:
                async with conn.transaction():
                    if moves:
                        await self.move(conn, reached)
                    await self.write(conn, registry, events)
            except psycopg.DatabaseError:
                if conn.closed or len(events) < 2:
                    raise
                # Too much for one transaction (locks, for instance, are bounded), or one event that the database
                # refuses: those before it get through.
                limit = len(events) // 2
            else:
                at("after_checkpoint")
                return replace(self, position=reached), events

    async def move(self, conn: AsyncConnection[Any], reached: int) -> None:
        """Move the checkpoint, which fences off whoever else believes to own it."""
        cursor = await conn.execute(
            statement("move_checkpoint"),
            {
                "projection": self.projection.full_name(),
                "generation": self.number,
                "expected": self.position,
                "reached": reached,
            },
        )
        if cursor.rowcount != 1:
            raise OwnershipLost(
                f"projection {self.projection.full_name()} generation {self.number} isn't at {self.position} any more"
            )

    async def write(self, conn: AsyncConnection[Any], registry: Registry, events: list[RecordedEvent]) -> None:
        """Hand runs of events of one type to their handlers, inside the caller's transaction."""
        if not events:
            return
        await registry.learn_of(conn, events)
        await conn.execute(sql.SQL("set local search_path to {}").format(sql.Identifier(self.schema)))
        for type_, run in groupby(events, key=attrgetter("type")):
            handler = self.projection.handlers[registry.class_of(type_)]  # pyright: ignore[reportArgumentType]
            await handler(self.projection, conn, [recorded(event, registry) for event in run])
        await conn.execute("set local search_path to default")

    async def begin_next(self, conn: AsyncConnection[Any]) -> Generation:
        """The generation after this one, empty, in a schema of its own."""
        number = self.number + 1
        following = Generation(
            self.projection, number, f"{self.projection.schema()}_g{number}", 0, self.projection.version
        )
        async with conn.transaction():
            await following.create(conn)
        return following

    async def create(self, conn: AsyncConnection[Any]) -> None:
        """Create the schema, the tables and the checkpoint, inside the caller's transaction."""
        await conn.execute(sql.SQL("create schema {}").format(sql.Identifier(self.schema)))
        await conn.execute(sql.SQL("set local search_path to {}").format(sql.Identifier(self.schema)))
        await self.projection.create(conn)
        await conn.execute("set local search_path to default")
        await conn.execute(
            statement("insert_checkpoint"),
            {
                "projection": self.projection.full_name(),
                "generation": self.number,
                "version": self.version,
            },
        )


def recorded(event: RecordedEvent, registry: Registry) -> Recorded[Any]:
    """An event as those get it who follow the store."""
    return Recorded(
        cast("Event", registry.decode(event.type, event.data, AVRO_BINARY, event.schema)),  # only events are stored
        event.position,
        event.tenant,
        event.actor,
        event.version,
        event.at,
    )


async def active(conn: Rows, projection: Projection) -> Generation:
    """The generation that serves reads; made when there's none yet."""
    name = projection.full_name()
    async with conn.transaction():
        await conn.execute(statement("insert_projection"), {"projection": name, "module": projection.module})
        serving = await _locked(conn, projection)
        if serving is not None:
            return serving
        first = Generation(projection, 1, projection.schema(), 0, projection.version)
        await first.create(conn)
        await conn.execute(statement("set_active_generation"), {"projection": name, "generation": 1})
        return first


async def locked(conn: Rows, projection: Projection) -> Generation:
    """The generation that serves reads, which stands still until the caller's transaction ends."""
    serving = await _locked(conn, projection)
    assert serving is not None  # whoever locks it has seen it before, and there's always one from then on
    return serving


async def _locked(conn: Rows, projection: Projection) -> Generation | None:
    name = projection.full_name()
    await conn.execute(statement("lock_projection"), {"projection": name})
    # A statement of its own: one that waits for a lock has read the other tables' rows before.
    cursor = await conn.execute(statement("query_active_generation"), {"projection": name})
    row = await cursor.fetchone()
    assert row is not None  # `active` inserted it, and rows are never deleted
    return None if row[0] is None else Generation(projection, row[0], projection.schema(), row[1], row[2])
