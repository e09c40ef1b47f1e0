"""Reading all events: each exactly once and in order, whatever is in flight."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from typing import Any

import pytest
from psycopg import AsyncConnection

from datapunk.errors import VersionConflict
from datapunk.store import read
from datapunk.store.append import append
from datapunk.store.connection import FROZEN_WRITER_MS, connect
from datapunk.store.events import EventData, RecordedEvent
from datapunk.store.read import events_at, load_tails, read_all, read_stream, safe_position
from datapunk.store.statements import statement
from tests.events import batch, event
from tests.working import eventually

INSERT = (
    "insert into events (position, tenant, stream, version, type, id, schema, data, causation, metadata)"
    " values (nextval('event_positions'), %s, %s, %s, %s, %s, %s, %s, %s, '{}') returning position"
)


async def insert(conn: AsyncConnection[Any], one: EventData) -> int:
    """One event, in the caller's transaction, as `append` does it; returns its position."""
    await conn.execute(statement("lock_positions"))
    values = (one.tenant, one.stream, one.version, one.type, one.id, one.schema, one.data, one.causation)
    row = await (await conn.execute(INSERT, values)).fetchone()
    assert row is not None
    return int(row[0])


async def test_a_slower_writer_with_the_lower_position_is_waited_for(
    database_url: str, connection: AsyncConnection[Any]
) -> None:
    async with await connect(database_url) as slow:
        async with slow.transaction():
            lower = await insert(slow, event("slow", 1))
            (higher,) = (await append(connection, batch(event("fast", 1)))).positions
            assert lower < higher
            assert await read_all(connection, 0, 10) == ([], 0)
        events, reached = await read_all(connection, 0, 10)
        assert [one.position for one in events] == [lower, higher]
        assert reached == higher


async def test_what_a_slow_writer_can_not_touch_is_read_meanwhile(
    database_url: str, connection: AsyncConnection[Any]
) -> None:
    (first,) = (await append(connection, batch(event("fast", 1)))).positions
    async with await connect(database_url) as slow, slow.transaction():
        await insert(slow, event("slow", 1))
        events, reached = await read_all(connection, 0, 10)
        assert ([one.position for one in events], reached) == ([first], first)


async def test_positions_of_a_transaction_that_failed_are_stepped_over(connection: AsyncConnection[Any]) -> None:
    await append(connection, batch(event("s", 1)))
    with pytest.raises(VersionConflict):
        await append(connection, batch(event("other", 1), event("s", 1)))
    (last,) = (await append(connection, batch(event("s", 2)))).positions
    events, reached = await read_all(connection, 0, 10)
    assert [one.position for one in events] == [1, last]
    assert reached == last > 2


async def test_a_writer_that_froze_is_cut_off(database_url: str) -> None:
    async with await connect(database_url, writer=True) as conn:
        cursor = await conn.execute("show idle_in_transaction_session_timeout")
        assert await cursor.fetchone() == (f"{FROZEN_WRITER_MS // 1000}s",)


async def test_readers_go_on_once_a_frozen_writer_was_cut_off(
    database_url: str, connection: AsyncConnection[Any]
) -> None:
    frozen = await connect(database_url)
    await frozen.execute("set idle_in_transaction_session_timeout = 100")
    await frozen.execute("begin")
    await insert(frozen, event("frozen", 1))
    (position,) = (await append(connection, batch(event("s", 1)))).positions

    async def read() -> bool:
        events, _ = await read_all(connection, 0, 10)
        return [one.position for one in events] == [position]

    await eventually(read, "the other writer's event")
    await frozen.close()


async def test_a_lock_of_somebody_else_holds_nobody_back(database_url: str, connection: AsyncConnection[Any]) -> None:
    await append(connection, batch(event("s", 1)))
    async with await connect(database_url) as other:
        await other.execute("select pg_advisory_lock(0), pg_advisory_lock(-17488), pg_advisory_lock(17488, 0)")
        assert await safe_position(connection) == 1


@pytest.mark.parametrize("seed", range(3))
async def test_a_reader_among_many_writers_sees_every_event_once_and_in_order(database_url: str, seed: int) -> None:
    writers, transactions = 5, 40
    chance = random.Random(seed)
    written: list[int] = []
    are_done = asyncio.Event()

    async def write(writer: int) -> None:
        async with await connect(database_url, writer=True) as conn:
            version = 0
            for _ in range(transactions):
                is_kept, positions = chance.random() < 0.8, []
                async with conn.transaction(force_rollback=not is_kept):
                    for offset in range(chance.randint(1, 3)):
                        positions.append(await insert(conn, event(f"s{writer}", version + offset + 1)))
                        for _ in range(chance.randint(0, 5)):  # let the others overtake
                            await conn.execute("select 1")
                if is_kept:
                    version += len(positions)
                    written.extend(positions)

    async def read() -> list[RecordedEvent]:
        seen: list[RecordedEvent] = []
        async with await connect(database_url) as conn:
            after = 0
            while True:
                is_last = are_done.is_set()
                events, reached = await read_all(conn, after, 7)
                seen.extend(events)
                if reached == after and is_last:
                    return seen
                after = reached

    reading = asyncio.create_task(read())
    await asyncio.gather(*(write(writer) for writer in range(writers)))
    are_done.set()
    seen = await asyncio.wait_for(reading, 30)
    assert [one.position for one in seen] == sorted(written)
    assert_in_version_order(seen)


async def test_streams_that_several_write_are_in_version_order_by_position(database_url: str) -> None:
    streams = ("a", "b", "c")

    async def write(seed: int) -> None:
        chance = random.Random(seed)
        async with await connect(database_url, writer=True) as conn:
            for _ in range(30):
                wanted = chance.sample(streams, chance.randint(1, 3))  # in any order: nobody waits in a circle
                versions = {stream: len(await read_stream(conn, "t", stream)) for stream in wanted}
                events = [event(stream, versions[stream] + more) for stream in wanted for more in (1, 2)]
                try:
                    await append(conn, batch(*events))
                except VersionConflict:
                    continue  # another one was quicker

    await asyncio.gather(*(write(seed) for seed in range(4)))
    async with await connect(database_url) as conn:
        events, _ = await read_all(conn, 0, 10_000)
    assert {one.stream for one in events} == set(streams)
    assert_in_version_order(events)


def assert_in_version_order(events: Sequence[RecordedEvent]) -> None:
    """Each stream's versions are 1, 2, 3…."""
    versions: dict[str, int] = {}
    for one in events:
        assert one.version == versions.get(one.stream, 0) + 1
        versions[one.stream] = one.version


async def test_reading_all_can_be_limited_to_some_types(connection: AsyncConnection[Any]) -> None:
    await append(connection, batch(*(event("s", version, type="ab"[version % 2]) for version in range(1, 7))))
    events, reached = await read_all(connection, 0, 2, types=["a"])
    assert ([one.version for one in events], reached) == ([2, 4], 4)
    events, reached = await read_all(connection, reached, 2, types=["a"])
    assert ([one.version for one in events], reached) == ([6], 6)


async def test_reading_all_can_be_limited_to_a_tenant(connection: AsyncConnection[Any]) -> None:
    await append(connection, batch(*(event(f"s/{n}", 1, tenant="ab"[n % 2]) for n in range(1, 7))))
    events, reached = await read_all(connection, 0, 2, tenant="a")
    assert ([one.stream for one in events], reached) == (["s/2", "s/4"], 4)
    events, reached = await read_all(connection, reached, 2, tenant="a")
    assert ([one.stream for one in events], reached) == (["s/6"], 6)


async def test_large_events_are_read_a_few_at_a_time(
    connection: AsyncConnection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    await append(connection, batch(*(event("s", version, data=b"x" * 100) for version in range(1, 8))))
    monkeypatch.setattr(read, "MAX_BYTES", 300)
    found: list[int] = []
    after, pages = 0, 0
    while after < 7:
        events, after = await read_all(connection, after, 100)
        assert 1 <= len(events) <= 3
        found += [each.version for each in events]
        pages += 1
    assert (found, pages) == ([1, 2, 3, 4, 5, 6, 7], 3)


async def test_a_stream_is_read_from_a_version_on(connection: AsyncConnection[Any]) -> None:
    await append(connection, batch(*(event("s", version) for version in range(1, 6))))
    events = await read_stream(connection, "t", "s", from_version=2, limit=3)
    assert [one.version for one in events] == [2, 3, 4]


def told(stream: str, *versions: int) -> list[EventData]:
    """Events whose data tells which they are."""
    return [event(stream, version, data=f"{stream}{version}".encode()) for version in versions]


async def test_the_tails_of_many_streams_come_in_one_query(connection: AsyncConnection[Any]) -> None:
    await append(connection, batch(*told("a", 1, 2, 3), *told("b", 1, 2, 3)))
    tails, unfinished = await load_tails(connection, [("t", "b", 2), ("t", "none", 1), ("t", "a", 3)])
    assert [(one.whose, one.data) for one in tails] == [(0, b"b2"), (0, b"b3"), (2, b"a3")]
    assert unfinished == []


async def test_long_tails_come_a_few_events_of_each_at_a_time(
    connection: AsyncConnection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    await append(connection, batch(*told("a", 1, 2, 3), *told("b", 1)))
    monkeypatch.setattr(read, "TAIL_EVENTS", 5)
    tails, unfinished = await load_tails(connection, [("t", "a", 1), ("t", "b", 1)])
    assert [one.data for one in tails] == [b"a1", b"a2", b"b1"]
    assert unfinished == [0]


async def test_large_tails_come_a_few_events_at_a_time(
    connection: AsyncConnection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    await append(connection, batch(*told("a", 1), *told("b", 1, 2), *told("c", 1)))
    monkeypatch.setattr(read, "MAX_BYTES", 4)
    tails, unfinished = await load_tails(connection, [("t", "a", 1), ("t", "b", 1), ("t", "c", 1)])
    assert [one.data for one in tails] == [b"a1", b"b1"]
    assert unfinished == [1, 2]


def rows_read(plan: dict[str, Any]) -> int:
    """Of events, from tables and indexes, by this step and those below it."""
    own = (plan["Actual Rows"] + plan.get("Rows Removed by Filter", 0)) * plan["Actual Loops"]
    return (own if plan.get("Relation Name", "").startswith("events_") else 0) + sum(
        map(rows_read, plan.get("Plans", []))
    )


async def test_a_page_of_a_long_tail_costs_what_it_holds(connection: AsyncConnection[Any]) -> None:
    await connection.execute(  # one actor of many has nearly all of its partition
        "insert into events (position, tenant, stream, version, type, id, schema, data, causation, metadata) "
        "select nextval('event_positions'), 't', stream, version, 'test.Happened', gen_random_uuid(), '', '', "
        "gen_random_uuid(), '{}' from ("
        "select 'a', generate_series(1, 20000) union all select 'b' || generate_series(1, 300), 1"
        ") wanted (stream, version)"
    )
    await connection.execute(statement("fill_streams"))
    await connection.execute("analyze events, streams")
    cursor = await connection.execute(
        "explain (analyze, format json) " + statement("query_tails"),
        {"tenants": ["t"] * 2, "streams": ["a", "b1"], "versions": [5, 1], "of_each": 2000, "bytes": read.MAX_BYTES},
    )
    row = await cursor.fetchone()
    assert row is not None
    assert 2001 <= rows_read(row[0][0]["Plan"]) < 2100  # a small partition is read as a whole


async def test_events_are_found_by_position(connection: AsyncConnection[Any]) -> None:
    result = await append(connection, batch(*(event("s", version) for version in range(1, 4))))
    found = await events_at(connection, [result.positions[2], result.positions[0], 99])
    assert [one.version for one in found] == [1, 3]
