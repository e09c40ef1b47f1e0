"""Migrations: forward only, once each, whatever version a database is at and whoever else is at it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from datapunk.errors import StoreError, VersionConflict
from datapunk.settings import load_settings
from datapunk.store import migrate as migrating
from datapunk.store.append import append
from datapunk.store.connection import connect
from datapunk.store.migrate import migrate, migrations
from datapunk.store.read import read_stream
from tests.events import batch, event

NAMES = [name for name, _ in migrations()]


@pytest.fixture
async def new_url(stack_variables: dict[str, str]) -> AsyncIterator[str]:
    """Where there's no database yet."""
    name = f"test_{uuid4().hex[:12]}"
    yield make_conninfo(load_settings().database_url, dbname=name)
    async with await connect(make_conninfo(load_settings().database_url, dbname="postgres")) as admin:
        await admin.execute(sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(name)))


async def test_a_new_database_is_made_and_brought_to_the_present(new_url: str) -> None:
    assert await migrate(new_url) == NAMES


async def test_migrating_again_does_nothing(new_url: str) -> None:
    await migrate(new_url)
    assert await migrate(new_url) == []


async def test_several_processes_at_once_apply_each_migration_once(new_url: str) -> None:
    applied = await asyncio.gather(*(migrate(new_url) for _ in range(4)))
    assert [name for names in applied for name in names] == NAMES


async def test_a_migration_that_was_changed_since_is_refused(new_url: str) -> None:
    await migrate(new_url)
    async with await connect(new_url) as conn:
        await conn.execute("update migrations set checksum = 'another' where name = %s", (NAMES[1],))
    with pytest.raises(StoreError, match=f"{NAMES[1]} was changed after it was applied; put the change in a new one"):
        await migrate(new_url)


async def test_a_database_of_a_newer_release_is_refused(new_url: str) -> None:
    await migrate(new_url)
    async with await connect(new_url) as conn:
        await conn.execute("insert into migrations (name, checksum) values ('9999_later.sql', '')")
    with pytest.raises(StoreError, match=r"newer than this code \(it has 9999_later.sql\); upgrade the code"):
        await migrate(new_url)


async def test_a_migration_that_fails_leaves_the_database_as_the_one_before_left_it(
    new_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = [*migrations(), ("9999_broken.sql", "create table half (); select 1 / 0;")]
    monkeypatch.setattr(migrating, "migrations", lambda: broken)
    with pytest.raises(psycopg.errors.DivisionByZero):
        await migrate(new_url)
    async with await connect(new_url) as conn:
        cursor = await conn.execute("select to_regclass('half'), array_agg(name order by name) from migrations")
        assert await cursor.fetchone() == (None, NAMES)


APPEND_BEFORE_0013 = """
    insert into events (tenant, stream, version, type, id, schema, data, causation, metadata)
    select 't', 's', %s, 'test.Happened', gen_random_uuid(), 'f', '', gen_random_uuid(), '{}'
"""

# What a database may hold once a migration was applied, and before the next one.
DATA = {
    "0001_event_store.sql": """
        insert into events (tenant, stream, version, type, id, schema, data, causation, metadata)
            select 't', 'lake.dataset/' || n, 1, 'lake.Happened', gen_random_uuid(), 'f', '', gen_random_uuid(), '{}'
            from generate_series(1, 50) n;
        insert into inbox (id, tenant, type, stream, body_hash, reply, first_version, last_version)
            values (gen_random_uuid(), 't', 'lake.CreateDataset', 'lake.dataset/1', '\\x00', '\\x00', 1, 1);
        insert into snapshots values ('t', 'lake.dataset/1', 1, 1, '\\x00');
        insert into outbox (module, shard, owner, positions) values ('lake', 0, gen_random_uuid(), '{1,2}');
    """,
    "0009_followers.sql": """
        insert into events (tenant, stream, version, type, id, schema, data, causation, metadata)
            select 't', 'lake.dataset/1', 2, 'lake.Happened', gen_random_uuid(), 'f', '', gen_random_uuid(), '{}';
    """,
    "0003_projections.sql": """
        insert into projections (name, module, active_generation) values ('lake.datasets', 'lake', 1);
        insert into checkpoints (projection, generation, version, position) values ('lake.datasets', 1, 1, 50);
    """,
    "0004_membership.sql": """
        insert into members (id, group_name, description)
            values ('00000000-0000-0000-0000-000000000001', 'lake.shards', 'alive');
        insert into leases (group_name, item, owner) values
            ('lake.shards', '0', '00000000-0000-0000-0000-000000000001'),
            ('lake.shards', '1', '00000000-0000-0000-0000-000000000002'),
            ('lake.shards', '2', null);
    """,
    "0005_catalogue.sql": """
        insert into schemas values ('f', 'lake.DatasetCreated', 1, '{}');
        insert into modules values ('lake', 8);
    """,
}


async def test_a_database_of_any_age_comes_to_the_present_with_all_it_holds(
    new_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = migrations()
    for count, (name, _) in enumerate(known, 1):
        monkeypatch.setattr(migrating, "migrations", lambda count=count: known[:count])
        assert await migrate(new_url) == [name]
        async with await connect(new_url) as conn:
            await conn.execute(sql.SQL(DATA.get(name, "select")))  # type: ignore[arg-type]
    async with await connect(new_url) as conn:
        assert await rows(conn, "select count(*), max(position) from events") == [(51, 51)]
        assert await rows(conn, "select safe_position()") == [(51,)]
        assert await rows(conn, "select * from streams where version = 2") == [("t", "lake.dataset/1", 2, 1, 51)]
        assert await rows(conn, "select count(*) from streams where version = 1") == [(49,)]
        with pytest.raises(VersionConflict):
            await append(conn, batch(event("lake.dataset/1", 2)))
        await append(conn, batch(event("lake.dataset/1", 3)))
        assert [(one.version, one.position) for one in await read_stream(conn, "t", "lake.dataset/1")] == [
            *((1, 1), (2, 51)),
            (3, 53),  # the one before was for the conflict
        ]
        assert await rows(conn, "select stream, last_version from inbox") == [("lake.dataset/1", 1)]
        await conn.execute(  # the same id, of another tenant
            'insert into inbox select (jsonb_populate_record(inbox, \'{"tenant": "u"}\')).* from inbox'
        )
        assert await rows(conn, "select count(*), count(distinct id) from inbox") == [(2, 1)]
        assert await rows(conn, "select name, position from projections join checkpoints on name = projection") == [
            ("lake.datasets", 50)
        ]
        # An owner that is no member any more owns nothing.
        assert await rows(conn, "select item from leases where owner is not null") == [("0",)]


async def test_a_process_of_an_older_release_waits_instead_of_leaving_the_heads_behind(
    new_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = migrations()
    before = NAMES.index("0013_partitions_by_position.sql")
    monkeypatch.setattr(migrating, "migrations", lambda: known[:before])
    await migrate(new_url)
    async with await connect(new_url) as older:
        for version in (1, 2, 3):
            await older.execute(APPEND_BEFORE_0013, (version,), prepare=True)
        monkeypatch.undo()
        await migrate(new_url)
        with pytest.raises(psycopg.OperationalError, match="start the present release"):
            await older.execute(APPEND_BEFORE_0013, (4,), prepare=True)


async def rows(conn: psycopg.AsyncConnection[Any], query: str) -> list[tuple[Any, ...]]:
    """What a query finds."""
    return await (await conn.execute(query)).fetchall()  # type: ignore[arg-type]
