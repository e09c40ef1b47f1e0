"""Appends a batch: events, inbox rows, snapshots and outbox rows, in one transaction and one round trip."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
import psycopg
from psycopg import AsyncConnection

from datapunk.errors import DuplicateCommand, OwnershipLost, StoreError, VersionConflict
from datapunk.store.arrays import Bigints, Binaries, Texts, Uuids
from datapunk.store.events import EventData, InboxEntry, SnapshotData
from datapunk.store.leases import Fence, is_fenced_out
from datapunk.store.partitions import make_partitions
from datapunk.store.statements import statement


@dataclass(slots=True)
class AppendBatch:
    """What is to become durable together.

    Attributes:
        module: whose events these are.
        owner: the process that will publish them.
        events: in order; each stream's versions without a gap.
        shards: for each event, the shard its command came from.
        inbox: the commands decided.
        snapshots: to keep instead of older ones.
        confirmed: outbox rows that the broker has confirmed, to be deleted.
        fence: the leases under which all of this was decided; none where there's nothing to own.
    """

    module: str
    owner: UUID
    events: Sequence[EventData] = ()
    shards: Sequence[int] = ()
    inbox: Sequence[InboxEntry] = ()
    snapshots: Sequence[SnapshotData] = ()
    confirmed: Sequence[int] = ()
    fence: Fence | None = None


@dataclass(slots=True)
class AppendResult:
    """Where the events are now: their positions in order, their outbox rows, and the time of the transaction."""

    positions: list[int] = field(default_factory=list[int])
    outbox: list[int] = field(default_factory=list[int])
    at: datetime | None = None


async def append(conn: AsyncConnection[Any], batch: AppendBatch) -> AppendResult:
    """Append all of a batch, or nothing.

    Args:
        conn: in autocommit, outside a transaction.
        batch: what to append.

    Raises:
        VersionConflict: if one of the streams isn't at the version before: somebody else appended first.
        DuplicateCommand: if one of the commands is in the inbox.
        OwnershipLost: if one of the leases is somebody else's.
        StoreError: if not every event was written.
        psycopg.OperationalError: if the database went away; whether the batch was committed isn't known then.
    """
    try:
        return await _append(conn, batch)
    except psycopg.errors.CheckViolation:  # no partition: more events came than anybody expected
        await make_partitions(conn)
        return await _append(conn, batch)


async def _append(conn: AsyncConnection[Any], batch: AppendBatch) -> AppendResult:
    cursor = None
    try:
        async with conn.pipeline(), conn.transaction():
            if batch.fence is not None:
                await batch.fence.check(conn)
            if batch.events:
                await conn.execute(statement("lock_positions"))
                cursor = await conn.execute(statement("append_events"), _event_columns(batch), binary=True)
            if batch.inbox:
                await conn.execute(statement("insert_inbox"), _inbox_columns(batch.inbox))
            if batch.snapshots:
                await conn.execute(statement("upsert_snapshots"), _snapshot_columns(batch.snapshots))
            if batch.confirmed:
                await conn.execute(statement("delete_outbox"), {"ids": list(batch.confirmed)})
    except psycopg.errors.UniqueViolation as violation:
        if violation.diag.table_name == "inbox":
            raise DuplicateCommand(violation.diag.message_detail or str(violation)) from violation
        raise VersionConflict(violation.diag.message_detail or str(violation).splitlines()[0]) from violation
    except psycopg.Error as error:
        if is_fenced_out(error):
            raise OwnershipLost(str(error).splitlines()[0]) from error
        raise
    if cursor is None:
        return AppendResult()
    rows = await cursor.fetchall()  # one; its arrays are null if nothing was written
    result = AppendResult(*rows[0]) if rows[0][0] else AppendResult()
    if len(result.positions) != len(batch.events):
        raise StoreError(
            f"{len(result.positions)} of {len(batch.events)} events were written; the batch names a version twice"
        )
    return result


def _event_columns(batch: AppendBatch) -> dict[str, Any]:
    events = batch.events
    return {
        "module": batch.module,
        "owner": batch.owner,
        "shards": Bigints.of(batch.shards),
        "tenants": Texts.of([event.tenant for event in events]),
        "streams": Texts.of([event.stream for event in events]),
        "versions": Bigints.of([event.version for event in events]),
        "types": Texts.of([event.type for event in events]),
        "ids": Uuids.of([event.id for event in events]),
        "schemas": Texts.of([event.schema for event in events]),
        "data": Binaries.of([event.data for event in events]),
        "causations": Uuids.of([event.causation for event in events]),
        "metadata": Texts.of([msgspec.json.encode(event.metadata).decode() for event in events]),
    }


def _inbox_columns(inbox: Sequence[InboxEntry]) -> dict[str, Any]:
    return {
        "ids": Uuids.of([entry.id for entry in inbox]),
        "tenants": Texts.of([entry.tenant for entry in inbox]),
        "types": Texts.of([entry.type for entry in inbox]),
        "streams": Texts.of([entry.stream for entry in inbox]),
        "hashes": Binaries.of([entry.body_hash for entry in inbox]),
        "replies": Binaries.of([entry.reply for entry in inbox]),
        "firsts": Bigints.of([entry.first_version for entry in inbox]),
        "lasts": Bigints.of([entry.last_version for entry in inbox]),
    }


def _snapshot_columns(snapshots: Sequence[SnapshotData]) -> dict[str, Any]:
    return {
        "tenants": [snapshot.tenant for snapshot in snapshots],
        "streams": [snapshot.stream for snapshot in snapshots],
        "versions": [snapshot.version for snapshot in snapshots],
        "state_versions": [snapshot.state_version for snapshot in snapshots],
        "states": [snapshot.state for snapshot in snapshots],
    }
