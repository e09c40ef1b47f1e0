"""Upkeep: old commands are forgotten, by one process at a time, again and again."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import UUID, uuid4

import pytest
import structlog
from psycopg import AsyncConnection

from datapunk import worker
from datapunk.settings import Settings, load_settings
from datapunk.store.append import append
from datapunk.store.connection import connect
from datapunk.store.inbox import lookup_many
from datapunk.store.partitions import end_of_partitions
from datapunk.upkeep import PRUNING_LOCK, Upkeep, prune_inbox
from tests.accounts.module import accounts
from tests.events import batch, entry
from tests.working import eventually, working


@pytest.fixture
def alone(database_url: str) -> Settings:
    """Without a broker."""
    return load_settings().model_copy(update={"database_url": database_url, "inbox_retention_days": 3})


async def processed(conn: AsyncConnection[Any], days_ago: int) -> UUID:
    """The id of a command that was processed then."""
    id = uuid4()
    await append(conn, batch(inbox=[entry(id)]))
    await conn.execute("update inbox set at = at - make_interval(days => %s) where id = %s", (days_ago, id))
    return id


async def test_commands_are_forgotten_after_the_time_that_the_settings_say(
    alone: Settings, connection: AsyncConnection[Any]
) -> None:
    old, young = await processed(connection, 4), await processed(connection, 2)
    assert await prune_inbox(alone) == 1
    assert [found.id for found in await lookup_many(connection, [("t", old), ("t", young)])] == [young]


async def test_while_one_process_is_at_it_another_does_nothing(
    alone: Settings, connection: AsyncConnection[Any]
) -> None:
    await processed(connection, 4)
    async with connection.transaction():
        await connection.execute("select pg_advisory_xact_lock(%s)", (PRUNING_LOCK,))
        assert await prune_inbox(alone) is None
    assert await prune_inbox(alone) == 1


async def test_it_is_done_again_and_again_even_after_it_failed(
    alone: Settings, connection: AsyncConnection[Any]
) -> None:
    stop = asyncio.Event()
    await connection.execute("alter table inbox rename to elsewhere")
    with structlog.testing.capture_logs() as logs:
        upkeep = asyncio.create_task(Upkeep(alone, every_s=0.02).run(stop))

        async def has_failed() -> bool:
            return any(line["event"] == "upkeep_failed" for line in logs)

        await eventually(has_failed, "a failure")
    await connection.execute("alter table elsewhere rename to inbox")
    for _ in range(2):
        id = await processed(connection, 4)

        async def is_forgotten(id: UUID = id) -> bool:
            return await lookup_many(connection, [("t", id)]) == []

        await eventually(is_forgotten, "the old command forgotten")
    stop.set()
    await asyncio.wait_for(upkeep, 10)


async def test_there_is_always_room_for_events_to_come(alone: Settings, connection: AsyncConnection[Any]) -> None:
    stop = asyncio.Event()
    upkeep = asyncio.create_task(Upkeep(alone, room_every_s=0.02).run(stop))
    for _ in range(2):
        end = await end_of_partitions(connection)
        await connection.execute("select setval('event_positions', %s)", (end - 1,))

        async def has_room(end: int = end) -> bool:
            return await end_of_partitions(connection) > end

        await eventually(has_room, "a partition more")
    stop.set()
    await asyncio.wait_for(upkeep, 10)


async def test_a_worker_sees_to_it(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "Upkeep", lambda settings: Upkeep(settings, every_s=0.02))
    async with working([accounts], settings), await connect(settings.database_url) as conn:
        id = await processed(conn, settings.inbox_retention_days + 1)

        async def is_forgotten() -> bool:
            return await lookup_many(conn, [("t", id)]) == []

        await eventually(is_forgotten, "the old command forgotten")
