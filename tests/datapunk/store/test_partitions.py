"""Partitions by position: there's always room, nobody waits for it, and what lies in several reads as one history."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from psycopg import AsyncConnection

from datapunk.store.append import append
from datapunk.store.connection import connect
from datapunk.store.events import SnapshotData
from datapunk.store.inbox import lookup_many
from datapunk.store.partitions import end_of_partitions, make_partitions
from datapunk.store.read import events_at, events_of_command, load_tails, read_all, read_stream
from datapunk.store.statements import statement
from tests.events import batch, entry, event

SIZE = 4_000_000  # positions a partition, see migrations/0013


async def go_on_at(conn: AsyncConnection[Any], position: int) -> None:
    """The next event gets this position."""
    await conn.execute("select setval('event_positions', %s)", (position - 1,))


async def partitions(conn: AsyncConnection[Any]) -> list[str]:
    """Those that hold events, in order."""
    cursor = await conn.execute("select distinct tableoid::regclass::text from events order by 1")
    return [name for (name,) in await cursor.fetchall()]


async def test_what_lies_in_two_partitions_reads_as_one(connection: AsyncConnection[Any]) -> None:
    await go_on_at(connection, SIZE - 2)
    written = [event("s", version) for version in range(1, 5)]
    command = entry(written[0].causation, versions=(1, 4))
    positions = (await append(connection, batch(*written, inbox=[command]))).positions
    assert positions == [SIZE - 2, SIZE - 1, SIZE, SIZE + 1]
    assert await partitions(connection) == ["events_from_1", f"events_from_{SIZE}"]
    for found in (
        await read_stream(connection, "t", "s"),
        (await read_all(connection, 0, 10))[0],
        await events_at(connection, positions),
        await events_of_command(connection, "t", command.id),
    ):
        assert [(one.version, one.position) for one in found] == list(enumerate(positions, 1))
    tails, unfinished = await load_tails(connection, [("t", "s", 1)])
    assert ([one.whose for one in tails], unfinished) == ([0, 0, 0, 0], [])
    assert [found.position for found in await lookup_many(connection, [("t", command.id)])] == [SIZE + 1]


async def test_an_append_that_finds_no_room_makes_it(connection: AsyncConnection[Any]) -> None:
    end = await end_of_partitions(connection)
    await go_on_at(connection, end - 1)
    await append(connection, batch(event("s", 1), event("s", 2), event("s", 3)))
    assert [one.version for one in await read_stream(connection, "t", "s")] == [1, 2, 3]
    assert await end_of_partitions(connection) > end + SIZE


async def test_room_is_made_ahead_of_those_who_append(connection: AsyncConnection[Any]) -> None:
    assert await make_partitions(connection) == 0
    await go_on_at(connection, SIZE + 1)
    assert await make_partitions(connection) == 1
    assert await make_partitions(connection) == 0


async def test_several_processes_at_once_make_each_partition_once(
    database_url: str, connection: AsyncConnection[Any]
) -> None:
    await go_on_at(connection, 3 * SIZE)

    async def make() -> int:
        async with await connect(database_url) as conn:
            return await make_partitions(conn)

    assert sorted(await asyncio.gather(*(make() for _ in range(4)))) == [0, 0, 0, 2]


async def test_nobody_waits_while_a_partition_is_made(database_url: str, connection: AsyncConnection[Any]) -> None:
    async with await connect(database_url) as busy, await connect(database_url) as maker:
        await maker.execute("set lock_timeout = '5s'")
        async with busy.transaction():
            await append(connection, batch(event("s", 1)))
            await busy.execute("update events set type = type")  # it holds what a reader holds, and a writer
            await go_on_at(connection, SIZE + 1)
            async with maker.transaction():
                assert await make_partitions(maker) == 1
                await connection.execute("set lock_timeout = '5s'")  # and the other way round
                await append(connection, batch(event("s", 2)))
                assert len(await read_stream(connection, "t", "s")) == 2


async def test_a_stream_is_looked_for_only_where_its_events_are(connection: AsyncConnection[Any]) -> None:
    for number, position in enumerate((2, SIZE, 2 * SIZE)):
        await go_on_at(connection, position)
        await append(connection, batch(event(f"s{number}", 1)))
    one = {"tenant": "t", "stream": "s1"}
    for name, values in {
        "query_stream_forward": one | {"from_version": 1, "limit": 10},
        "query_tails": {"tenants": ["t"], "streams": ["s1"], "versions": [1], "of_each": 9, "bytes": 999},
        "version_at": one | {"at": "infinity"},
        "query_versions": {"tenants": ["t"], "streams": ["s1"], "versions": [1]},
    }.items():
        assert await touched(connection, name, values) == {f"events_from_{SIZE}"}, name


async def test_a_tail_is_looked_for_only_after_the_snapshot(connection: AsyncConnection[Any]) -> None:
    await append(connection, batch(event("s", 1)))
    await go_on_at(connection, SIZE)
    snapshot = SnapshotData("t", "s", 2, 1, b"state")
    await append(connection, batch(event("s", 2), snapshots=[snapshot]))
    await go_on_at(connection, 2 * SIZE)
    await append(connection, batch(event("s", 3)))
    tails = {"tenants": ["t"], "streams": ["s"], "of_each": 9, "bytes": 999}
    assert len(await touched(connection, "query_tails", tails | {"versions": [1]})) == 3
    assert len(await touched(connection, "query_tails", tails | {"versions": [3]})) == 2
    assert len(await touched(connection, "query_tails", tails | {"versions": [4]})) == 0


async def touched(conn: AsyncConnection[Any], name: str, values: dict[str, Any]) -> set[str]:
    """The partitions that a statement looks into."""
    cursor = await conn.execute("explain (analyze, format json) " + statement(name), values)
    row = await cursor.fetchone()
    assert row is not None
    found: set[str] = set()

    def look(node: dict[str, Any]) -> None:
        if node["Actual Loops"] and node.get("Relation Name", "").startswith("events_"):
            found.add(node["Relation Name"])
        for child in node.get("Plans", ()):
            look(child)

    look((json.loads(row[0]) if isinstance(row[0], str) else row[0])[0]["Plan"])
    return found
