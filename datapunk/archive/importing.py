"""Imports an archive into an empty store as it was, or finds that all of it is there already.

All or nothing: one transaction, which commits only once the archive's trailer has proved right. Positions,
versions, ids, times and schemas stay; so does the record of processed commands, without which a command sent
again would take effect again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator
from itertools import groupby
from typing import Any, TypeVar, cast
from uuid import uuid4

import msgspec
import psycopg
from psycopg import AsyncConnection
from psycopg.types.json import Jsonb

from datapunk.archive.records import Record, SchemaRow, Tally, Trailer, Unpublished
from datapunk.errors import ArchiveDamaged, HistoryDiffers, SchemaError, UnknownSchema, VersionGap
from datapunk.messages.schema import parse_text
from datapunk.store.events import InboxEntry, RecordedEvent
from datapunk.store.inbox import lookup_many
from datapunk.store.partitions import end_of_partitions, make_partition
from datapunk.store.read import events_at
from datapunk.store.statements import statement

BATCH, BATCH_BYTES = 1000, 8 * 1024 * 1024  # most records between two looks at whether to stop

R = TypeVar("R", bound=Record)

EVENT_TYPES = ("int8", "text", "text", "int8", "text", "uuid", "text", "bytea", "uuid", "jsonb", "timestamptz")
COMMAND_TYPES = ("uuid", "text", "text", "text", "bytea", "bytea", "int8", "int8", "timestamptz")


async def import_records(
    conn: AsyncConnection[Any],
    records: Iterable[Record],
    on_progress: Callable[[], None] = lambda: None,
) -> tuple[Trailer, bool]:
    """Put an archive's records into the store.

    Writers wait meanwhile; readers see nothing of it until it's whole.

    Args:
        conn: in autocommit, outside a transaction.
        records: of an archive; raises at the end if it isn't whole.
        on_progress: called every now and then.

    Returns:
        What there was, and whether it's new to the store.

    Raises:
        HistoryDiffers: if the store holds a history, and not every event of the archive is in it.
        VersionGap: if a stream doesn't begin with version 1, or lacks one.
        UnknownSchema: if an event's schema is neither in the archive nor in the store.
        ArchiveDamaged: if the records aren't what was written, or can't have been.
    """
    tally = Tally()
    async with conn.transaction():
        await conn.execute(statement("lock_partitions"))
        await conn.execute(statement("lock_events"))
        await conn.execute(statement("lock_positions"))  # readers don't step over what comes
        is_new = await _is_empty(conn)
        counted = _counted(records, tally)
        try:
            await (_fill if is_new else _compare)(conn, counted, on_progress)
        except psycopg.errors.UniqueViolation as violation:
            raise ArchiveDamaged(f"something is in it twice: {violation.diag.message_detail}") from None
        if is_new:
            await _check_versions(conn)
            await conn.execute(statement("fill_streams"))
            await conn.execute(statement("restart_checkpoints"))
            await conn.execute(statement("continue_positions"))
    return tally.trailer(), is_new


def _counted(records: Iterable[Record], tally: Tally) -> Iterator[Record]:
    for record in records:
        tally.add(record)
        yield record


def _batches(records: Iterable[R]) -> Iterator[list[R]]:
    batch: list[R] = []
    size = 0
    for record in records:
        batch.append(record)
        size += len(record.data) if isinstance(record, RecordedEvent) else 0
        if len(batch) == BATCH or size >= BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


async def _is_empty(conn: AsyncConnection[Any]) -> bool:
    cursor = await conn.execute(statement("is_store_empty"))
    return await cursor.fetchone() == (True,)


async def _fill(conn: AsyncConnection[Any], records: Iterator[Record], on_progress: Callable[[], None]) -> None:
    known: set[str] = set()
    last = 0
    for kind, run in groupby(records, key=type):
        if kind is RecordedEvent:
            last = await _copy_events(conn, cast("Iterator[RecordedEvent]", run), known, last, on_progress)
        elif kind is InboxEntry:
            await _copy_commands(conn, cast("Iterator[InboxEntry]", run), on_progress)
        elif kind is SchemaRow:
            known = await _add_schemas(conn, cast("Iterator[SchemaRow]", run))
        else:
            for row in cast("Iterator[Unpublished]", run):
                await conn.execute(
                    statement("insert_unpublished"),
                    {"module": row.module, "shard": row.shard, "owner": uuid4(), "positions": row.positions},
                )


async def _add_schemas(conn: AsyncConnection[Any], rows: Iterator[SchemaRow]) -> set[str]:
    """Put schemas into the store; returns the fingerprints of all that are there then."""
    for row in rows:
        try:
            fingerprint = parse_text(row.text).fingerprint
        except SchemaError as error:
            raise ArchiveDamaged(f"the schema of {row.name} version {row.version}: {error}") from None
        if fingerprint != row.fingerprint:
            raise ArchiveDamaged(
                f"the schema of {row.name} version {row.version} has fingerprint {fingerprint}, not {row.fingerprint}"
            )
        await conn.execute(statement("insert_schema"), (row.fingerprint, row.name, row.version, row.text))
    cursor = await conn.execute("select fingerprint from schemas")
    return {fingerprint for (fingerprint,) in await cursor.fetchall()}


async def _copy_events(
    conn: AsyncConnection[Any],
    events: Iterator[RecordedEvent],
    known: set[str],
    last: int,
    on_progress: Callable[[], None],
) -> int:
    end = await end_of_partitions(conn)
    for batch in _batches(events):
        for event in batch:
            if event.schema not in known:
                raise UnknownSchema(
                    f"the event at position {event.position} ({event.type}) was written with schema "
                    f"{event.schema!r}, which is neither in the archive nor in the store"
                )
            if event.position <= last:
                raise ArchiveDamaged(f"position {event.position} comes after position {last}")
            last = event.position
            if last >= end:
                end = await make_partition(conn, last)
        async with conn.cursor() as cursor, cursor.copy(statement("copy_events")) as copy:
            copy.set_types(EVENT_TYPES)
            for event in batch:
                await copy.write_row(
                    (
                        event.position,
                        event.tenant,
                        event.stream,
                        event.version,
                        event.type,
                        event.id,
                        event.schema,
                        event.data,
                        event.causation,
                        Jsonb(event.metadata, dumps=msgspec.json.encode),
                        event.at,
                    )
                )
        on_progress()
        await asyncio.sleep(0)  # Ctrl-C gets through here
    return last


async def _copy_commands(
    conn: AsyncConnection[Any], commands: Iterator[InboxEntry], on_progress: Callable[[], None]
) -> None:
    async with conn.cursor() as cursor, cursor.copy(statement("copy_inbox")) as copy:
        copy.set_types(COMMAND_TYPES)
        for batch in _batches(commands):
            for command in batch:
                await copy.write_row(
                    (
                        command.id,
                        command.tenant,
                        command.type,
                        command.stream,
                        command.body_hash,
                        command.reply,
                        command.first_version,
                        command.last_version,
                        command.at,
                    )
                )
            on_progress()
            await asyncio.sleep(0)


async def _check_versions(conn: AsyncConnection[Any]) -> None:
    cursor = await conn.execute(statement("query_version_gaps"), {"limit": 1})
    row = await cursor.fetchone()
    if row is not None:
        tenant, stream, count, first, last = row
        raise VersionGap(
            f"{stream} (tenant {tenant}) has {count:,} events, and versions {first:,} to {last:,}: a stream is "
            "imported from version 1 on, without gaps; export it without --after"
        )


async def _compare(conn: AsyncConnection[Any], records: Iterator[Record], on_progress: Callable[[], None]) -> None:
    """See that every event is in the store already; the store may hold more."""
    for kind, run in groupby(records, key=type):
        for batch in _batches(run):
            if kind is RecordedEvent:
                await _compare_events(conn, cast("list[RecordedEvent]", batch))
            elif kind is InboxEntry:
                await _compare_commands(conn, cast("list[InboxEntry]", batch))
            on_progress()
            await asyncio.sleep(0)


async def _compare_events(conn: AsyncConnection[Any], events: list[RecordedEvent]) -> None:
    found = {event.position: event for event in await events_at(conn, [event.position for event in events])}
    for event in events:
        theirs = found.get(event.position)
        if theirs != event:
            what = "no event" if theirs is None else f"{theirs.stream} version {theirs.version}, which differs"
            raise HistoryDiffers(
                f"the store isn't empty, and its history is another one: the archive has {event.stream} version "
                f"{event.version} at position {event.position}, the store has {what} there; "
                "import into an empty database"
            )


async def _compare_commands(conn: AsyncConnection[Any], commands: list[InboxEntry]) -> None:
    """Those in the store must be the same; one that isn't there was forgotten after its time, and stays so."""
    keys = [(command.tenant, command.id) for command in commands]
    found = {(command.tenant, command.id): command for command in await lookup_many(conn, keys)}
    for command in commands:
        theirs = found.get((command.tenant, command.id))
        if theirs is not None and theirs != command:
            raise HistoryDiffers(
                f"the store isn't empty, and its history is another one: command {command.id} had another outcome "
                "there; import into an empty database"
            )
