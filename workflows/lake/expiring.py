"""What the activities of an expiry do: look for old rows, have their partition let them go, wait until they're gone.

Each share is an event, `lake.RecordsExpired`, and its rows go where that is projected. A partition counts what it lets
go, and refuses a share that was counted before the latest one was gone, so none is counted twice.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid5

import msgspec
from psycopg import AsyncConnection, sql
from psycopg.errors import InvalidSchemaName, UndefinedTable
from temporalio import activity
from temporalio.exceptions import ApplicationError

from datapunk.messages.codec import AVRO_BINARY
from datapunk.messages.outcome import Status
from datapunk.store.connection import connect
from datapunk.store.read import read_stream, version_at
from datapunk.temporal import Platform
from projections.lake.columns import OFFSET
from projections.lake.expiry import is_older
from projections.lake.records import table_name
from schemas.lake.commands import ExpireRecords
from schemas.lake.events import RecordsAppended
from schemas.lake.queries import FindRecords
from workflows.lake.expire_records import Due, Place

BATCH = 10_000  # rows of an event
GONE_S = 60.0  # for rows to go, before it's looked again
SPACE = UUID("3f6d5f0a-7e0c-4d0e-9d6e-2d1f0f6f3c11")  # for ids of commands
OVER = ("dataset_unknown", "dataset_deleted", "retention_changed")  # rejections: nothing is to go any more


class Expiring:
    """Reads the tables that serve, and the times at which rows came.

    Args:
        platform: where everything is.
    """

    def __init__(self, platform: Platform) -> None:
        self._platform = platform

    async def find_due(self, now: datetime, after: Place | None, limit: int) -> list[Due]:
        """Datasets with a retention, by tenant and id."""
        place = ("", "") if after is None else (after.tenant, after.dataset)
        async with await connect(self._platform.settings.database_url) as conn:
            try:
                cursor = await conn.execute(
                    "select tenant, id, partitions, retention_field, retention_days from lake_datasets.datasets "
                    "where retention_days is not null and (tenant, id) > (%s, %s) order by tenant, id limit %s",
                    (*place, limit),
                )
            except (UndefinedTable, InvalidSchemaName):  # Lake never ran here
                return []
            return [
                Due(tenant, id, partitions, field, (now - timedelta(days=days)).isoformat())
                for tenant, id, partitions, field, days in await cursor.fetchall()
            ]

    async def expire(self, due: Due) -> int:
        """Let old records go; returns how many went.

        Raises:
            ApplicationError: to be tried again: somebody else let some go meanwhile.
            BrokerError: to be tried again: nobody answers.
        """
        gone = 0
        async with await connect(self._platform.settings.database_url) as conn:
            for partition in range(due.partitions):
                until = await self._came_before(conn, due, partition) if due.field is None else None
                while (share := await _share(conn, due, partition, until)) is not None:
                    activity.heartbeat(gone)
                    if not await self._let_go(due, partition, share):
                        return gone
                    gone += share.count
        return gone

    async def _came_before(self, conn: AsyncConnection[Any], due: Due, partition: int) -> int:
        """The offset of the first record of a partition that came later."""
        stream = f"lake.partition/{due.dataset}:{partition}"
        version = await version_at(conn, due.tenant, stream, datetime.fromisoformat(due.before))
        while version:
            (found,) = await read_stream(conn, due.tenant, stream, from_version=version, limit=1)
            if found.type == RecordsAppended.message_type:
                await self._platform.registry.learn_of(conn, [found])
                event = self._platform.registry.decode(found.type, found.data, AVRO_BINARY, found.schema)
                assert isinstance(event, RecordsAppended)  # as its type says
                return event.first + event.count
            version -= 1
        return 0

    async def _let_go(self, due: Due, partition: int, share: ExpireRecords) -> bool:
        """Let a share go, and wait until its rows are gone; False if the dataset isn't kept by this rule any more."""
        what = (due.tenant, due.dataset, partition, share)
        outcome = await self._platform.client.send(
            share,
            f"{due.dataset}:{partition}",
            tenant=due.tenant,
            message_id=uuid5(SPACE, msgspec.json.encode(what).decode()),
        )
        if outcome.status is not Status.Accepted:
            if outcome.code in OVER:
                return False
            raise ApplicationError(outcome.message, type=outcome.code)
        await self._platform.client.ask(
            FindRecords(dataset=due.dataset, limit=1),
            tenant=due.tenant,
            after_position=outcome.position,
            timeout_s=GONE_S,
        )
        return True


async def _share(conn: AsyncConnection[Any], due: Due, partition: int, until: int | None) -> ExpireRecords | None:
    """Some old rows of a partition, the first by offset; none if there are none."""
    before = datetime.fromisoformat(due.before)
    async with conn.transaction():
        cursor = await conn.execute(
            "select catalog.number, schema, coalesce(records, 0) "
            "from lake_records.catalog left join lake_records.expired "
            "on expired.number = catalog.number and partition = %s where tenant = %s and dataset = %s",
            (partition, due.tenant, due.dataset),
        )
        entry = await cursor.fetchone()
        if entry is None:
            return None
        number, schema, expired = entry
        old = is_older(schema, 2**63 - 1 if until is None else until, due.field, before)
        statement = sql.SQL(
            "select max({offset}) + 1, count(*) from "
            "(select {offset} from {table} where {old} order by {offset} limit {limit}) as old"
        ).format(
            offset=sql.Identifier(OFFSET),
            table=sql.Identifier("lake_records", f"{table_name(number)}_{partition}"),
            old=old,
            limit=sql.Literal(BATCH),
        )
        cursor = await conn.execute(statement)
        row = await cursor.fetchone()
    assert row is not None  # an aggregate
    end, count = row
    if not count:
        return None
    return ExpireRecords(until=end, field=due.field, before=before, count=count, expired=expired)
