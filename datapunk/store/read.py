"""Reads events: of one stream, of many actors at once, or all of them in order.

Reading all in order must not step over a transaction in flight: positions are handed out when rows are written,
and transactions commit in any order. A writer therefore holds, until it ends, a shared advisory lock that names
a lower bound of its positions; a reader stops below the least of these. See docs/adr/0003.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection
from psycopg.rows import args_row

from datapunk.store.events import PastEvent, RecordedEvent
from datapunk.store.statements import statement

MAX_BYTES = 32 * 1024 * 1024  # of events read at a time; one alone may have more
TAIL_EVENTS = 2000  # read at a time where actors are loaded: more take more memory, and next to no time less


async def read_stream(
    conn: AsyncConnection[Any], tenant: str, stream: str, *, from_version: int = 1, limit: int = 1000
) -> list[RecordedEvent]:
    """An actor's events in order, from a version on."""
    async with conn.cursor(row_factory=args_row(RecordedEvent), binary=True) as cursor:
        await cursor.execute(
            statement("query_stream_forward"),
            {"tenant": tenant, "stream": stream, "from_version": from_version, "limit": limit},
        )
        return await cursor.fetchall()


async def version_at(conn: AsyncConnection[Any], tenant: str, stream: str, at: datetime) -> int:
    """The version that an actor had at a time; 0 if it had no event by then."""
    cursor = await conn.execute(statement("version_at"), {"tenant": tenant, "stream": stream, "at": at})
    row = await cursor.fetchone()
    assert row is not None  # an aggregate
    return int(row[0])


async def read_all(
    conn: AsyncConnection[Any],
    after: int,
    limit: int,
    *,
    types: Sequence[str] | None = None,
    tenant: str | None = None,
    until: int | None = None,
) -> tuple[list[RecordedEvent], int]:
    """Events of all streams by position.

    Args:
        conn: at isolation level read committed: the bound and the events need snapshots of their own.
        after: the position read so far.
        limit: most events; fewer come where they'd have more than `MAX_BYTES`.
        types: only these message types.
        tenant: only this one's.
        until: read no further than here, which somebody has read up to before; by default to the safe position,
            which may be lower for a moment (a writer may hold a bound that is older than what it writes).

    Returns:
        The events, and the position up to which everything has been seen.
    """
    safe = await safe_position(conn) if until is None else until
    if safe <= after:
        return [], after
    async with conn.cursor(row_factory=args_row(RecordedEvent), binary=True) as cursor:
        await cursor.execute(
            statement("query_all_forward"),
            {
                "after": after,
                "safe": safe,
                "types": None if types is None else list(types),
                "tenant": tenant,
                "limit": limit,
                "bytes": MAX_BYTES,
            },
        )
        events = await cursor.fetchall()
    is_cut = len(events) == limit or sum(len(event.data) for event in events) >= MAX_BYTES
    return events, events[-1].position if is_cut else safe


async def safe_position(conn: AsyncConnection[Any]) -> int:
    """Every event at or below this position is visible, or will never be."""
    cursor = await conn.execute(statement("safe_position"))
    row = await cursor.fetchone()
    assert row is not None  # a function returns a row
    return int(row[0])


async def last_position(conn: AsyncConnection[Any]) -> int:
    """The last position that was given out: its transaction may be in flight, or have failed; 0 if there's none."""
    cursor = await conn.execute(statement("last_position"))
    row = await cursor.fetchone()
    assert row is not None  # no table is asked
    return int(row[0])


async def load_tails(
    conn: AsyncConnection[Any], wanted: Sequence[tuple[str, str, int]]
) -> tuple[list[PastEvent], list[int]]:
    """A page of the events of many actors in one query, each actor's from a version on and in order.

    It has as many of each actor as make up `TAIL_EVENTS`, or one; and where these have more than `MAX_BYTES`, only
    the first so many of them.

    Args:
        conn: where.
        wanted: tenant, stream and first version of each; at least one.

    Returns:
        The events, and whose weren't all read: places in `wanted`.
    """
    tenants, streams, versions = map(list, zip(*wanted, strict=True))
    of_each = max(TAIL_EVENTS // len(wanted), 1)
    async with conn.cursor(row_factory=args_row(PastEvent), binary=True) as cursor:
        await cursor.execute(
            statement("query_tails"),
            {"tenants": tenants, "streams": streams, "versions": versions, "of_each": of_each, "bytes": MAX_BYTES},
        )
        events = await cursor.fetchall()
    is_cut = sum(len(event.data) for event in events) >= MAX_BYTES
    read = Counter(event.whose for event in events)
    first_missed = events[-1].whose if is_cut else len(wanted)
    return events, [place for place in range(len(wanted)) if read[place] == of_each or place >= first_missed]


async def events_at(conn: AsyncConnection[Any], positions: Sequence[int]) -> list[RecordedEvent]:
    """The events at these positions, in order."""
    if not positions:
        return []
    asked = {"positions": list(positions), "first": min(positions), "last": max(positions)}
    async with conn.cursor(row_factory=args_row(RecordedEvent), binary=True) as cursor:
        await cursor.execute(statement("query_positions"), asked)
        return await cursor.fetchall()


async def events_of_command(conn: AsyncConnection[Any], tenant: str, id: UUID) -> list[RecordedEvent]:
    """The events that a command led to, in order."""
    async with conn.cursor(row_factory=args_row(RecordedEvent), binary=True) as cursor:
        await cursor.execute(statement("query_command_events"), {"tenant": tenant, "id": id})
        return await cursor.fetchall()
