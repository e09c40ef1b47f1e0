"""What is exported and imported is what it was."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import fastavro
import pytest
from psycopg import AsyncConnection

from datapunk.archive import exporting, importing
from datapunk.archive.exporting import Selection
from datapunk.archive.files import opened, records_of
from datapunk.archive.importing import import_records
from datapunk.generation import active
from datapunk.store.append import append
from datapunk.store.connection import connect
from datapunk.store.events import EventData, RecordedEvent
from datapunk.store.outbox import unconfirmed
from datapunk.store.read import read_all, read_stream, safe_position
from tests.accounts.balances import Balances
from tests.datapunk.archive.history import TABLES, contents, load, remember, save
from tests.events import REGISTRY, batch, deposits, entry
from tests.projecting import balances
from tests.working import eventually

NAMES = ("history.jsonl", "history.avro", "history.jsonl.gz", "history.avro.gz")


@pytest.mark.parametrize("name", NAMES)
async def test_a_store_is_the_same_after_export_and_import(
    connection: AsyncConnection[Any], target: AsyncConnection[Any], tmp_path: Path, name: str
) -> None:
    await remember(connection)
    exported = await save(connection, tmp_path / name)
    assert await load(target, tmp_path / name) == (exported, True)
    for table in TABLES:
        assert await contents(target, table) == await contents(connection, table) != []


async def test_positions_far_from_the_first_are_kept(
    connection: AsyncConnection[Any], target: AsyncConnection[Any], tmp_path: Path
) -> None:
    for position in (3_999_999, 90_000_000):
        await connection.execute("select setval('event_positions', %s, false)", (position,))
        await append(connection, deposits(3, first=1 if position < 10_000_000 else 4))
    await REGISTRY.sync(connection)
    exported = await save(connection, tmp_path / "x.avro")
    assert await load(target, tmp_path / "x.avro") == (exported, True)
    assert await contents(target, "streams") == await contents(connection, "streams") != []
    (further,) = (await append(target, deposits(1, first=7))).positions
    assert further > 90_000_003


async def test_one_command_id_of_two_tenants_stays_two_commands(
    connection: AsyncConnection[Any], target: AsyncConnection[Any], tmp_path: Path
) -> None:
    await remember(connection, 1)
    id = uuid4()
    both = [entry(id, tenant="one", reply=b"1"), entry(id, tenant="two", reply=b"2")]
    await append(connection, batch(inbox=both))
    exported = await save(connection, tmp_path / "x.avro")
    for is_new in (True, False):
        assert await load(target, tmp_path / "x.avro") == (exported, is_new)
    assert await contents(target, "inbox") == await contents(connection, "inbox")


async def test_formats_differ_and_the_checksum_does_not(connection: AsyncConnection[Any], tmp_path: Path) -> None:
    await remember(connection)
    checksums = {(await save(connection, tmp_path / name)).sha256 for name in NAMES}
    assert len(checksums) == 1


async def test_the_time_zone_of_the_server_does_not_change_the_checksum(
    connection: AsyncConnection[Any], database_url: str, tmp_path: Path
) -> None:
    await remember(connection)
    here = await save(connection, tmp_path / "here.jsonl")
    await connection.execute(
        "do $$ begin execute format('alter database %I set timezone to ''Asia/Kolkata''', current_database()); end $$"
    )
    async with await connect(database_url) as elsewhere:
        assert await save(elsewhere, tmp_path / "elsewhere.jsonl") == here


async def test_bodies_in_json_lines_can_be_read_by_people(connection: AsyncConnection[Any], tmp_path: Path) -> None:
    await remember(connection, 1)
    await save(connection, tmp_path / "x.jsonl")
    lines = [json.loads(line) for line in (tmp_path / "x.jsonl").read_text().splitlines()]
    assert [line["event"]["data"] for line in lines if "event" in line] == [{"cents": 1, "balance": 1}] * 2


@pytest.mark.parametrize("limit", ["EVENTS_AT_ONCE", "MAX_BYTES"])
async def test_an_export_of_several_pages_is_the_same(
    connection: AsyncConnection[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str
) -> None:
    await remember(connection)
    whole = await save(connection, tmp_path / "whole.jsonl")
    monkeypatch.setattr(exporting, limit, 2)  # of events, or bytes
    assert await save(connection, tmp_path / "pages.jsonl") == whole


@pytest.mark.parametrize("limit", ["BATCH", "BATCH_BYTES"])
async def test_an_import_of_several_batches_is_the_same(
    connection: AsyncConnection[Any],
    target: AsyncConnection[Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    limit: str,
) -> None:
    await remember(connection)
    exported = await save(connection, tmp_path / "x.avro")
    monkeypatch.setattr(importing, limit, 4)  # of records, or bytes
    for is_new in (True, False):
        assert await load(target, tmp_path / "x.avro") == (exported, is_new)
    assert await contents(target, "events") == await contents(connection, "events")


async def test_a_body_that_json_would_change_stays_as_it_is(
    connection: AsyncConnection[Any], target: AsyncConnection[Any], tmp_path: Path
) -> None:
    await REGISTRY.sync(connection)
    (whole,) = deposits(1).events
    strange = b"\x82\x00\x02"  # the number 1 in two bytes instead of one
    changed = EventData(
        whole.tenant, whole.stream, 1, whole.type, whole.id, whole.schema, strange, whole.causation, whole.metadata
    )
    await append(connection, batch(changed))
    await save(connection, tmp_path / "x.jsonl")
    await load(target, tmp_path / "x.jsonl")
    assert [each.data for each in await read_stream(target, whole.tenant, whole.stream)] == [strange]


async def test_avro_libraries_can_read_the_container(connection: AsyncConnection[Any], tmp_path: Path) -> None:
    await remember(connection, 1)
    await save(connection, tmp_path / "x.avro")
    with (tmp_path / "x.avro").open("rb") as file:
        names = [name for name, _ in fastavro.reader(file, return_record_name=True)]  # type: ignore[misc]
    kinds = [name.rpartition(".")[2] for name in names]
    assert (kinds[0], kinds[-1], kinds.count("Event"), kinds.count("Command")) == ("Header", "Trailer", 2, 3)


async def test_positions_go_on_where_the_archive_ends(
    connection: AsyncConnection[Any], target: AsyncConnection[Any], tmp_path: Path
) -> None:
    await remember(connection)
    await save(connection, tmp_path / "x.avro")
    await load(target, tmp_path / "x.avro")
    assert await safe_position(target) == 6
    assert (await append(target, deposits(1, account="a", first=4))).positions == [7]


async def test_importing_again_changes_nothing_even_if_the_store_went_on(
    connection: AsyncConnection[Any], target: AsyncConnection[Any], tmp_path: Path
) -> None:
    await remember(connection)
    exported = await save(connection, tmp_path / "x.jsonl")
    await load(target, tmp_path / "x.jsonl")
    await append(target, deposits(1, account="a", first=4))
    before = [await contents(target, table) for table in TABLES]
    assert await load(target, tmp_path / "x.jsonl") == (exported, False)
    assert [await contents(target, table) for table in TABLES] == before


async def test_importing_again_is_fine_when_old_commands_were_forgotten(
    connection: AsyncConnection[Any], target: AsyncConnection[Any], tmp_path: Path
) -> None:
    await remember(connection)
    exported = await save(connection, tmp_path / "x.jsonl")
    await load(target, tmp_path / "x.jsonl")
    await target.execute("delete from inbox")
    assert await load(target, tmp_path / "x.jsonl") == (exported, False)


async def test_what_was_not_yet_published_is_published_from_the_new_store(
    connection: AsyncConnection[Any], target: AsyncConnection[Any], tmp_path: Path
) -> None:
    await remember(connection)
    await connection.execute("delete from outbox where not positions && '{5,6}'")
    await save(connection, tmp_path / "x.avro")
    await load(target, tmp_path / "x.avro")
    assert [row.positions for row in await unconfirmed(target, "accounts", [0])] == [[5, 6]]


async def test_a_projection_that_waited_in_the_empty_store_sees_what_is_imported(
    connection: AsyncConnection[Any], target: AsyncConnection[Any], tmp_path: Path
) -> None:
    await remember(connection)
    await save(connection, tmp_path / "x.avro")
    generation = await active(target, Balances())
    await target.execute("select nextval('event_positions'), nextval('event_positions'), nextval('event_positions')")
    generation, _ = await generation.apply(target, REGISTRY, 100)  # nothing there; taken positions are passed by
    await (await active(target, Balances())).move(target, 3)
    await load(target, tmp_path / "x.avro")
    await (await active(target, Balances())).apply(target, REGISTRY, 100)
    assert await balances(target) == [("a", 3, 3), ("b", 3, 3)]


async def test_readers_see_nothing_of_an_import_until_it_is_whole_and_step_over_nothing(
    connection: AsyncConnection[Any], target: AsyncConnection[Any], second_database_url: str, tmp_path: Path
) -> None:
    await remember(connection)
    await save(connection, tmp_path / "x.avro")
    seen: list[tuple[int, int]] = []
    async with await connect(second_database_url) as reader:
        with opened(str(tmp_path / "x.avro")) as file:
            records = list(records_of(file))

        async def look() -> None:
            events, reached = await read_all(reader, 0, 100)
            seen.append((len(events), reached))

        looking: list[asyncio.Task[None]] = []
        await import_records(target, records, lambda: looking.append(asyncio.create_task(look())))
        await asyncio.gather(*looking)
        assert seen
        assert set(seen) <= {(0, 0), (6, 6)}
        assert len((await read_all(reader, 0, 100))[0]) == 6


async def test_a_writer_waits_for_an_import_and_then_meets_what_was_imported(
    connection: AsyncConnection[Any], target: AsyncConnection[Any], second_database_url: str, tmp_path: Path
) -> None:
    await remember(connection)
    await save(connection, tmp_path / "x.avro")
    writing: list[asyncio.Task[Any]] = []
    with opened(str(tmp_path / "x.avro")) as file:
        records = list(records_of(file))
    async with await connect(second_database_url) as writer, await connect(second_database_url) as watcher:

        def write() -> None:
            if not writing:
                writing.append(asyncio.create_task(append(writer, deposits(1, account="new"))))

        await import_records(target, records, write)
        assert (await writing[0]).positions == [7]

        async def is_whole() -> bool:
            return len((await read_all(watcher, 0, 100))[0]) == 7

        await eventually(is_whole, "seven events")


@pytest.mark.parametrize(
    ("selection", "positions"),
    [
        (Selection(after=2), [3, 4, 5, 6]),
        (Selection(until=2), [1, 2]),
        (Selection(after=1, until=4), [2, 3, 4]),
        (Selection(until=100), [1, 2, 3, 4, 5, 6]),
        (Selection(after=100), []),
        (Selection(module="accounts"), [1, 2, 3, 4, 5, 6]),
        (Selection(module="account"), []),
        (Selection(streams=("accounts.account/b",)), [2, 4, 6]),
        (Selection(streams=("accounts.account/b",), after=2), [4, 6]),
        (Selection(tenant="default"), [1, 2, 3, 4, 5, 6]),
        (Selection(tenant="other"), []),
    ],
)
async def test_a_selection_has_the_events_asked_for_and_their_commands(
    connection: AsyncConnection[Any], tmp_path: Path, selection: Selection, positions: list[int]
) -> None:
    await remember(connection)
    await save(connection, tmp_path / "x.avro", selection)
    with opened(str(tmp_path / "x.avro")) as file:
        records = list(records_of(file))
    assert [each.position for each in records if isinstance(each, RecordedEvent)] == positions
    causes = {each.causation for each in records if isinstance(each, RecordedEvent)}
    commands = {each.id for each in records if hasattr(each, "body_hash") and each.last_version is not None}
    assert commands == causes


async def test_a_time_means_the_last_event_until_then(connection: AsyncConnection[Any], tmp_path: Path) -> None:
    await remember(connection)
    cursor = await connection.execute("select at from events where position in (2, 4) order by position")
    (second,), (fourth,) = await cursor.fetchall()
    selection = Selection(after=second, until=fourth + timedelta(microseconds=1))
    assert (await save(connection, tmp_path / "x.avro", selection)).events == 2
    assert (await save(connection, tmp_path / "y.avro", Selection(until=datetime(1970, 1, 1, tzinfo=UTC)))).events == 0


async def test_actors_that_are_whole_can_be_imported_alone(
    connection: AsyncConnection[Any], target: AsyncConnection[Any], tmp_path: Path
) -> None:
    await remember(connection)
    await save(connection, tmp_path / "x.avro", Selection(streams=("accounts.account/b",)))
    await load(target, tmp_path / "x.avro")
    events, _ = await read_all(target, 0, 100)
    assert [(each.stream, each.version, each.position) for each in events] == [
        ("accounts.account/b", 1, 2),
        ("accounts.account/b", 2, 4),
        ("accounts.account/b", 3, 6),
    ]


async def test_an_empty_store_has_an_archive_too(
    connection: AsyncConnection[Any], target: AsyncConnection[Any], tmp_path: Path
) -> None:
    exported = await save(connection, tmp_path / "x.jsonl")
    assert await load(target, tmp_path / "x.jsonl") == (exported, True)
    assert await contents(target, "events") == []


async def test_an_export_has_no_event_beyond_one_that_is_still_being_written(
    connection: AsyncConnection[Any], database_url: str, tmp_path: Path
) -> None:
    await remember(connection, 1)
    async with await connect(database_url) as slow, slow.transaction():
        await slow.execute("select lock_positions(), nextval('event_positions')")
        await append(connection, deposits(1, first=2))  # beyond, and committed
        assert (await save(connection, tmp_path / "x.avro")).events == 2
    assert (await save(connection, tmp_path / "y.avro")).events == 3
