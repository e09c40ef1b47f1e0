"""`Verifier`: a store as it should be has no finding, and whatever is wrong with one is found."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from psycopg import AsyncConnection

from datapunk import verification
from datapunk.state import state_codec
from datapunk.store.append import AppendBatch, append
from datapunk.store.connection import connect
from datapunk.store.events import SnapshotData
from datapunk.verification import Finding, Problem, Report, StreamHash, Verifier
from tests.accounts.account import Account
from tests.accounts.events import Misbehaved
from tests.accounts.module import accounts
from tests.datapunk.archive.history import decided, load, remember, save
from tests.events import OWNER, REGISTRY, batch, deposits, event

STREAM = "accounts.account/a"


def snapshot(version: int, balance: int, stream: str = STREAM) -> SnapshotData:
    """Of an account."""
    account = Account("a")
    account.balance = balance
    codec = state_codec(Account)
    return SnapshotData("default", stream, version, codec.version, codec.encode(account))


async def verified(
    conn: AsyncConnection[Any], *, installed: bool = True, every_snapshot: bool = True
) -> tuple[Report, list[Finding], list[StreamHash]]:
    """What the verifier says."""
    findings: list[Finding] = []
    hashes: list[StreamHash] = []
    verifier = Verifier(
        conn,
        REGISTRY if installed else type(REGISTRY).of([]),
        [accounts] if installed else [],
        every_snapshot=every_snapshot,
        on_finding=findings.append,
        on_stream=hashes.append,
    )
    report = await verifier.verify()
    assert report.findings == len(findings)
    return report, findings, hashes


async def problems(conn: AsyncConnection[Any]) -> list[tuple[Problem, str]]:
    """What is wrong, and where, without details."""
    _, findings, _ = await verified(conn)
    return [(finding.problem, finding.where) for finding in findings]


async def test_a_store_as_it_should_be_has_no_finding(connection: AsyncConnection[Any]) -> None:
    await remember(connection)
    await append(connection, AppendBatch("accounts", OWNER, snapshots=[snapshot(2, 2)]))
    report, findings, _ = await verified(connection)
    assert findings == []
    assert (report.events, report.streams, report.snapshots, report.commands) == (6, 2, 1, 7)


async def test_an_empty_store_has_no_finding(connection: AsyncConnection[Any]) -> None:
    report, findings, _ = await verified(connection)
    assert (report.events, report.sha256, findings) == (0, "0" * 64, [])


@pytest.mark.parametrize("limit", ["EVENTS_AT_ONCE", "MAX_BYTES"])
async def test_pages_do_not_change_what_is_found(
    connection: AsyncConnection[Any], monkeypatch: pytest.MonkeyPatch, limit: str
) -> None:
    await remember(connection)
    await append(connection, AppendBatch("accounts", OWNER, snapshots=[snapshot(2, 7)]))
    whole = await verified(connection)
    monkeypatch.setattr(verification, limit, 2)  # of events, or bytes
    assert await verified(connection) == whole


async def test_hashes_are_equal_for_equal_histories_only(
    connection: AsyncConnection[Any], second_database_url: str, tmp_path: Path
) -> None:
    await remember(connection)
    await save(connection, tmp_path / "x.avro")
    async with await connect(second_database_url) as other:
        await load(other, tmp_path / "x.avro")
        assert await verified(other) == await verified(connection)
        same = await verified(connection)
        for column, value in (
            ("metadata", '\'{"k": "w"}\''),
            ("position", "9"),
            ("at", "at + interval '1 microsecond'"),
            ("id", "gen_random_uuid()"),
        ):
            await other.execute(f"update events set {column} = {value} where version = 3 and stream like '%/b'")  # type: ignore[arg-type]
            changed = await verified(other)
            assert changed[0].sha256 != same[0].sha256
            hashes = [{each.stream: each.sha256 for each in streams} for _, _, streams in (same, changed)]
            assert [name for name, found in hashes[0].items() if hashes[1][name] != found] == ["accounts.account/b"]
            same = changed


async def test_a_missing_version_is_found(connection: AsyncConnection[Any]) -> None:
    await remember(connection)
    await connection.execute("delete from events where position = 3")
    await connection.execute("delete from inbox")
    await connection.execute("delete from outbox")
    assert await problems(connection) == [
        (Problem.VERSION_GAP, f"{STREAM} version 3 (tenant default, position 5)"),
    ]


async def test_a_head_that_is_not_where_its_stream_ends_is_found(connection: AsyncConnection[Any]) -> None:
    await remember(connection)
    await connection.execute("update streams set version = 2 where stream = %s", (STREAM,))
    await connection.execute("delete from streams where stream <> %s", (STREAM,))
    found = (
        (Problem.HEAD_DIFFERS, f"{STREAM} (tenant default)"),
        (Problem.HEAD_DIFFERS, "accounts.account/b (tenant default)"),
    )
    assert await problems(connection) == sorted(found)


async def test_positions_that_do_not_ascend_or_are_there_twice_are_found(connection: AsyncConnection[Any]) -> None:
    await remember(connection)
    await connection.execute("drop index events_from_1_position")  # as in the partition that older releases filled
    await connection.execute("update events set position = 2 where position = 5")
    await connection.execute("update streams set first_position = 1, last_position = 3 where stream = %s", (STREAM,))
    await connection.execute("delete from outbox")
    assert await problems(connection) == [
        (Problem.POSITION_ORDER, f"{STREAM} version 3 (tenant default, position 2)"),
        (Problem.POSITION_TWICE, "position 2"),
    ]


async def test_events_that_cannot_be_read_are_found_and_the_rest_is_looked_at(
    connection: AsyncConnection[Any],
) -> None:
    await remember(connection)
    await connection.execute("update events set data = '' where position = 1")
    await connection.execute("update events set schema = 'lost' where position = 2")
    await append(connection, batch(event("test.thing/x", 1)))
    assert await problems(connection) == [
        (Problem.UNDECODABLE, f"{STREAM} version 1 (tenant default, position 1)"),
        (Problem.UNKNOWN_SCHEMA, "accounts.account/b version 1 (tenant default, position 2)"),
        (Problem.UNKNOWN_SCHEMA, "test.thing/x version 1 (tenant t, position 7)"),
    ]


async def test_events_of_a_module_that_is_not_installed_are_read_by_their_schemas(
    connection: AsyncConnection[Any],
) -> None:
    await remember(connection)
    _, findings, _ = await verified(connection, installed=False)
    assert findings == []
    await connection.execute("update events set data = '' where position = 1")
    _, findings, _ = await verified(connection, installed=False)
    assert [finding.problem for finding in findings] == [Problem.UNDECODABLE]


@pytest.mark.parametrize(
    ("kept", "problem", "detail"),
    [
        (snapshot(2, 7), Problem.SNAPSHOT_DIFFERS, "a replay has another balance"),
        (
            SnapshotData("default", STREAM, 2, state_codec(Account).version, b"rubbish"),
            Problem.SNAPSHOT_DIFFERS,
            "can't be read",
        ),
        (snapshot(4, 4), Problem.SNAPSHOT_BEYOND, "no such event"),
        (snapshot(1, 1, "accounts.account/none"), Problem.SNAPSHOT_BEYOND, "no such event"),
    ],
    ids=["differs", "unreadable", "of a later version", "of nobody"],
)
async def test_a_snapshot_that_is_not_what_a_replay_gives_is_found(
    connection: AsyncConnection[Any], kept: SnapshotData, problem: Problem, detail: str
) -> None:
    await remember(connection)
    await append(connection, AppendBatch("accounts", OWNER, snapshots=[kept, snapshot(3, 3, "accounts.account/b")]))
    report, findings, _ = await verified(connection)
    assert [(finding.problem, detail in finding.detail) for finding in findings] == [(problem, True)]
    assert report.snapshots >= 1


async def test_a_snapshot_of_another_shape_is_left_out_as_the_engine_leaves_it_out(
    connection: AsyncConnection[Any],
) -> None:
    await remember(connection)
    older = SnapshotData("default", STREAM, 2, 1, b"rubbish")
    await append(connection, AppendBatch("accounts", OWNER, snapshots=[older]))
    report, findings, _ = await verified(connection)
    assert (report.snapshots, report.skipped_snapshots, findings) == (0, 1, [])


async def test_one_snapshot_in_ten_is_compared_unless_all_are_asked_for(connection: AsyncConnection[Any]) -> None:
    for number in range(60):
        await append(connection, deposits(1, account=str(number)))
    wrong = [snapshot(1, 7, f"accounts.account/{number}") for number in range(60)]
    await append(connection, AppendBatch("accounts", OWNER, snapshots=wrong))
    sampled, _, _ = await verified(connection, every_snapshot=False)
    assert 0 < sampled.snapshots < 30
    assert sampled.snapshots + sampled.skipped_snapshots == 60
    whole, _, _ = await verified(connection)
    assert (whole.snapshots, whole.findings) == (60, 60)


async def test_an_event_that_its_actor_cannot_apply_is_found(connection: AsyncConnection[Any]) -> None:
    (one,) = deposits(1).events
    codec = REGISTRY.codec(Misbehaved)
    await append(connection, deposits(1))
    await connection.execute(
        "update events set type = %s, schema = %s, data = %s",
        (Misbehaved.message_type, REGISTRY.fingerprint(Misbehaved), codec.encode_binary(Misbehaved(how="x"))),
    )
    await append(connection, AppendBatch("accounts", OWNER, snapshots=[snapshot(1, 0)]))
    assert await problems(connection) == [
        (Problem.NOT_APPLIED, f"{one.stream} version 1 (tenant default, position 1)"),
    ]


async def test_commands_and_outbox_rows_without_their_events_are_found(connection: AsyncConnection[Any]) -> None:
    await remember(connection)
    stray = decided(uuid4(), STREAM, 2)  # an event that another command led to
    await append(connection, AppendBatch("accounts", OWNER, inbox=[stray]))
    await connection.execute("update outbox set positions = '{99}' where positions = '{1}'")
    assert await problems(connection) == [
        (Problem.COMMAND_WITHOUT_EVENTS, f"command {stray.id} (test.Do, tenant default)"),
        (Problem.UNPUBLISHED_WITHOUT_EVENT, "position 99"),
    ]
