"""Appending: all of a batch or nothing, each version once, each command once."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest
from psycopg import AsyncConnection

from datapunk.errors import DuplicateCommand, VersionConflict
from datapunk.store.append import append
from datapunk.store.events import SnapshotData
from datapunk.store.inbox import lookup_many
from datapunk.store.outbox import unconfirmed
from datapunk.store.read import read_all, read_stream
from datapunk.store.snapshots import load_many
from tests.events import OWNER, batch, entry, event


async def test_an_event_comes_back_as_it_was_written(connection: AsyncConnection[Any]) -> None:
    written = event("s", 1, data=b"\x00\xff", tenant="someone")
    result = await append(connection, batch(written))
    (read,) = await read_stream(connection, "someone", "s")
    for name in ("tenant", "stream", "version", "type", "id", "schema", "data", "causation", "metadata"):
        assert getattr(read, name) == getattr(written, name)
    assert (read.position, read.at) == (result.positions[0], result.at)


async def test_the_same_stream_name_of_two_tenants_is_two_streams(connection: AsyncConnection[Any]) -> None:
    await append(connection, batch(event("s", 1, tenant="a"), event("s", 1, tenant="b")))
    assert len(await read_stream(connection, "a", "s")) == 1


async def test_a_version_that_is_taken_fails_the_whole_batch(connection: AsyncConnection[Any]) -> None:
    await append(connection, batch(event("s", 1)))
    id = uuid4()
    snapshot = SnapshotData("t", "other", 1, 1, b"state")
    with pytest.raises(VersionConflict, match=r"s \(tenant t\) isn't at version 0"):
        await append(connection, batch(event("other", 1), event("s", 1), inbox=[entry(id)], snapshots=[snapshot]))
    assert await read_stream(connection, "t", "other") == []
    assert await lookup_many(connection, [("t", id)]) == []
    assert await load_many(connection, [("t", "other")]) == []
    assert len(await unconfirmed(connection, "test", [0])) == 1


async def test_a_version_twice_in_one_batch_is_a_conflict(connection: AsyncConnection[Any]) -> None:
    with pytest.raises(VersionConflict):
        await append(connection, batch(event("s", 1), event("s", 1)))
    assert await read_stream(connection, "t", "s") == []


async def test_a_command_that_was_processed_fails_the_whole_batch(connection: AsyncConnection[Any]) -> None:
    id = uuid4()
    await append(connection, batch(event("s", 1), inbox=[entry(id, versions=(1, 1))]))
    with pytest.raises(DuplicateCommand):
        await append(connection, batch(event("s", 2), inbox=[entry(id, versions=(2, 2))]))
    assert len(await read_stream(connection, "t", "s")) == 1


async def test_the_connection_is_fit_for_use_after_a_conflict(connection: AsyncConnection[Any]) -> None:
    await append(connection, batch(event("s", 1)))
    with pytest.raises(VersionConflict):
        await append(connection, batch(event("s", 1)))
    await append(connection, batch(event("s", 2)))
    assert [read.version for read in await read_stream(connection, "t", "s")] == [1, 2]


async def test_the_outbox_holds_a_row_for_each_shard_until_it_is_confirmed(connection: AsyncConnection[Any]) -> None:
    events = batch(event("a", 1), event("b", 1), event("a", 2))
    events.shards = [3, 5, 3]
    result = await append(connection, events)
    rows = {row.shard: row for row in await unconfirmed(connection, "test", [3, 5, 7])}
    first, second, third = result.positions
    assert {shard: row.positions for shard, row in rows.items()} == {3: [first, third], 5: [second]}
    assert {row.owner for row in rows.values()} == {OWNER}
    assert sorted(result.outbox) == sorted(row.id for row in rows.values())
    await append(connection, batch(confirmed=[rows[3].id]))
    assert await unconfirmed(connection, "test", [3, 5]) == [rows[5]]


async def test_outbox_rows_of_a_certain_age_are_told_from_fresh_ones(connection: AsyncConnection[Any]) -> None:
    await append(connection, batch(event("s", 1)))
    await append(connection, batch(event("s", 2)))
    await connection.execute("update outbox set at = at - interval '1 minute' where id = (select min(id) from outbox)")
    rows = await unconfirmed(connection, "test", [0], older_than_s=30)
    assert [row.positions for row in rows] == [[1]]


async def test_a_later_snapshot_takes_the_place_of_an_earlier_one(connection: AsyncConnection[Any]) -> None:
    for version in (100, 200):
        await append(connection, batch(snapshots=[SnapshotData("t", "s", version, 7, b"%d" % version)]))
    assert await load_many(connection, [("t", "s"), ("t", "none")]) == [SnapshotData("t", "s", 200, 7, b"200")]


async def test_an_empty_batch_changes_nothing(connection: AsyncConnection[Any]) -> None:
    assert (await append(connection, batch())).positions == []
    assert await read_all(connection, 0, 10) == ([], 0)


async def test_a_version_that_does_not_come_next_is_a_conflict(connection: AsyncConnection[Any]) -> None:
    await append(connection, batch(event("s", 1)))
    for stream, version in (("s", 3), ("new", 2)):
        with pytest.raises(VersionConflict, match=f"{stream} .* isn't at version {version - 1}"):
            await append(connection, batch(event("other", 1), event(stream, version)))
    assert await read_stream(connection, "t", "other") == []


async def test_a_conflict_names_every_stream_that_somebody_else_appended_to(connection: AsyncConnection[Any]) -> None:
    await append(connection, batch(event("a", 1), event("b", 1)))
    with pytest.raises(VersionConflict, match=r"a \(tenant t\) .*, b \(tenant t\)") as conflict:
        await append(connection, batch(event("b", 1), event("c", 1), event("a", 1)))
    assert "c (" not in str(conflict.value)


async def test_an_event_never_comes_before_the_one_that_it_follows(connection: AsyncConnection[Any]) -> None:
    await connection.execute("select setval('event_positions', 10)")
    await append(connection, batch(event("s", 1)))
    await connection.execute("select setval('event_positions', 1)")
    with pytest.raises(VersionConflict):
        await append(connection, batch(event("s", 2)))
