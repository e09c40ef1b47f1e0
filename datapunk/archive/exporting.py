"""Exports history: schemas, events, the record of processed commands, and what is yet to be published.

All of it is of one moment, and events come up to a position below which none is still being written.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from psycopg import AsyncConnection
from psycopg.rows import args_row

from datapunk.archive.files import Writer
from datapunk.archive.records import FORMAT, Header, Record, SchemaRow, Tally, Trailer, Unpublished
from datapunk.errors import UnknownSchema
from datapunk.store.canonical import one_moment
from datapunk.store.events import InboxEntry, RecordedEvent
from datapunk.store.read import MAX_BYTES, safe_position
from datapunk.store.statements import statement

OnProgress = Callable[[int, int], None]  # done, in all

Point = int | datetime  # in history: a position, or the last event until then

EVENTS_AT_ONCE = 5000  # fetched from the server; fewer where they'd have more than `MAX_BYTES`
ROWS_AT_ONCE = 1000  # of others

R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Selection:
    """Which events to export; all, if nothing is said.

    Attributes:
        after: none up to this point.
        until: none after this point.
        module: only this module's.
        tenant: only this tenant's.
        streams: only these actors'.
    """

    after: Point = 0
    until: Point | None = None
    module: str | None = None
    tenant: str | None = None
    streams: tuple[str, ...] = ()


async def export(
    conn: AsyncConnection[Any],
    selection: Selection,
    writer: Writer,
    on_progress: OnProgress = lambda done, total: None,
) -> Trailer:
    """Write an archive.

    Args:
        conn: in autocommit, outside a transaction.
        selection: of what.
        writer: where to.
        on_progress: told how far it is, in positions.

    Raises:
        UnknownSchema: if an event's schema isn't in the store: the archive couldn't be read.
    """
    safe = await safe_position(conn)  # before the snapshot, so that everything up to here is in it
    async with one_moment(conn):
        after = await _position(conn, selection.after)
        until = min(safe, await _position(conn, selection.until)) if selection.until is not None else safe
        header = Header(
            FORMAT, after, max(after, until), selection.module, selection.tenant, sorted(set(selection.streams))
        )
        writer.begin(header)
        tally, known = Tally(), set[str]()
        async for record in _records(conn, header, is_whole=after == 0 and until == safe):
            if isinstance(record, RecordedEvent):
                if record.schema not in known:
                    raise UnknownSchema(
                        f"the event at position {record.position} ({record.type}) was written with schema "
                        f"{record.schema!r}, which the store doesn't hold; see: datapunk store verify"
                    )
                if record.position % 1000 == 0:
                    on_progress(record.position - after, header.until - after)
            elif isinstance(record, SchemaRow):
                known.add(record.fingerprint)
            tally.add(record)
            writer.write(record)
        trailer = tally.trailer()
        writer.end(trailer)
    on_progress(header.until - after, header.until - after)
    return trailer


async def _position(conn: AsyncConnection[Any], point: Point) -> int:
    if isinstance(point, int):
        return point
    cursor = await conn.execute(statement("position_at"), {"at": point})
    row = await cursor.fetchone()
    assert row is not None  # an aggregate
    return int(row[0])


async def _records(conn: AsyncConnection[Any], header: Header, *, is_whole: bool) -> AsyncIterator[Record]:
    wanted = {
        "after": header.after,
        "until": header.until,
        "module": header.module,
        "tenant": header.tenant,
        "streams": header.streams or None,
        "is_whole": is_whole,
    }
    async for schema in _rows(conn, "export_schemas", wanted, SchemaRow):
        yield schema
    async for event in _events(conn, wanted):
        yield event
    async for command in _rows(conn, "export_inbox", wanted, InboxEntry):
        yield command
    async for unpublished in _rows(conn, "export_outbox", wanted, Unpublished):
        yield unpublished


async def _events(conn: AsyncConnection[Any], wanted: dict[str, Any]) -> AsyncIterator[RecordedEvent]:
    """Page by page: a cursor of the server knows no limit in bytes, and events may be large."""
    wanted = wanted | {"limit": EVENTS_AT_ONCE, "bytes": MAX_BYTES}
    while True:
        async with conn.cursor(row_factory=args_row(RecordedEvent), binary=True) as cursor:
            await cursor.execute(statement("export_events"), wanted, prepare=False)  # planned for these values
            events = await cursor.fetchall()
        if not events:
            return
        for event in events:
            yield event
        wanted["after"] = events[-1].position


async def _rows(conn: AsyncConnection[Any], name: str, wanted: dict[str, Any], kind: type[R]) -> AsyncIterator[R]:
    async with conn.cursor(name=name, row_factory=args_row(kind)) as cursor:
        cursor.itersize = ROWS_AT_ONCE
        await cursor.execute(statement(name), wanted, binary=True)
        async for record in cursor:
            yield record
