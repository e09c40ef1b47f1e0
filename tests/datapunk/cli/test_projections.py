"""`datapunk projections`: shows where they are, and rebuilds, pauses and resumes them."""

from __future__ import annotations

import json
import signal
from typing import Any

import pytest
from psycopg import AsyncConnection

from datapunk.generation import active
from datapunk.membership import Membership
from datapunk.settings import Settings
from datapunk.store.append import append
from datapunk.store.statements import statement
from tests.accounts.balances import Balances
from tests.command_line import CommandLine
from tests.events import REGISTRY, deposits
from tests.projecting import balances
from tests.working import eventually

NAME = "accounts.balances"


async def serve(conn: AsyncConnection[Any], applied: int, behind: int = 0) -> None:
    """A projection that has applied some deposits and not yet others."""
    await append(conn, deposits(applied))
    await (await active(conn, Balances())).apply(conn, REGISTRY, applied + 1)
    await append(conn, deposits(behind, first=applied + 1))


async def test_list_shows_how_far_each_is(datapunk: CommandLine, connection: AsyncConnection[Any]) -> None:
    await serve(connection, 3, behind=2)
    ended = await datapunk("projections", "list")
    _, line = ended.out.splitlines()
    assert (ended.status, line.split()) == (0, [NAME, "idle", "1", "1", "3", "2"])


async def test_list_tells_what_a_process_keeps_up_to_date_from_what_nobody_does(
    datapunk: CommandLine, connection: AsyncConnection[Any], settings: Settings
) -> None:
    await serve(connection, 1)

    async def shown() -> str:
        (row,) = (await datapunk("projections", "list", "--json")).json
        return row["state"]

    async with Membership(settings, "accounts.projections", [NAME]) as owner:
        await anext(owner.changes())
        assert await shown() == "live"
    assert await shown() == "idle"


async def test_list_as_json_holds_the_same(datapunk: CommandLine, connection: AsyncConnection[Any]) -> None:
    await serve(connection, 3, behind=2)
    (row,) = (await datapunk("projections", "list", "--json")).json
    shown = {name: row[name] for name in ("name", "state", "position", "behind", "error")}
    assert shown == {"name": NAME, "state": "idle", "position": 3, "behind": 2, "error": None}


async def test_list_shows_what_a_handler_failed_on(datapunk: CommandLine, connection: AsyncConnection[Any]) -> None:
    await serve(connection, 1)
    await connection.execute("update projections set error = 'KeyError: [nothing]'")
    ended = await datapunk("projections", "list")
    assert "failing" in ended.out
    assert "KeyError: [nothing]" in ended.out


async def test_list_shows_a_rebuild_under_way(datapunk: CommandLine, connection: AsyncConnection[Any]) -> None:
    await serve(connection, 40)
    # What a rebuild has while it's under way: a checkpoint beside the serving one.
    await connection.execute("insert into checkpoints select projection, 2, version, 10 from checkpoints")
    shown = (await datapunk("projections", "list")).out.splitlines()[1].split()
    assert shown[1:3] == ["rebuilding", "25%"]


async def test_list_says_what_to_do_when_nothing_was_ever_run(datapunk: CommandLine, database_url: str) -> None:
    ended = await datapunk("projections", "list")
    assert (ended.status, ended.out) == (0, "No projection was ever run; start one with: datapunk run MODULE\n")


async def test_rebuild_makes_a_new_generation_serve(datapunk: CommandLine, connection: AsyncConnection[Any]) -> None:
    await serve(connection, 3)
    await connection.execute("update accounts_balances.balances set cents = 0")
    ended = await datapunk("projections", "rebuild", NAME)
    assert ended.status == 0
    assert f"{NAME}: generation 2 serves reads now" in ended.out
    assert await balances(connection) == [("a", 3, 3)]


async def test_diff_says_that_what_serves_is_what_a_replay_gives(
    datapunk: CommandLine, connection: AsyncConnection[Any]
) -> None:
    await serve(connection, 3, behind=2)
    ended = await datapunk("projections", "diff", NAME)
    _, line, verdict = ended.out.splitlines()
    assert (ended.status, line.split()) == (0, ["balances", "1", "1", "equal"])
    assert verdict == f"{NAME} at position 3 and a replay are equal"


async def test_diff_shows_what_differs_and_ends_with_one(
    datapunk: CommandLine, connection: AsyncConnection[Any]
) -> None:
    await serve(connection, 3)
    await connection.execute("update accounts_balances.balances set cents = 4")
    ended = await datapunk("projections", "diff", NAME)
    row = '{"cents":%d,"tenant":"default","account":"a","deposits":3}'
    assert (ended.status, ended.out.splitlines()[2:4]) == (1, [f"- balances {row % 4}", f"+ balances {row % 3}"])
    ended = await datapunk("projections", "diff", NAME, "--json", "--rows", "0")
    (table,) = ended.json["tables"]
    assert (ended.status, ended.json["is_equal"], table["only_served"]) == (1, False, [])


async def test_rebuild_shows_a_progress_bar_beside_its_json(
    datapunk: CommandLine, connection: AsyncConnection[Any]
) -> None:
    await serve(connection, 3)
    ended = await datapunk("projections", "rebuild", NAME, "--json")
    assert ended.json | {"projection": NAME, "generation": 2, "position": 3} == ended.json
    assert "100%" in ended.err
    assert "3/3 positions" in ended.err


async def test_rebuild_reads_events_of_an_older_schema_that_only_the_database_knows(
    datapunk: CommandLine, connection: AsyncConnection[Any]
) -> None:
    await serve(connection, 1)
    fields = [
        {"name": name, "type": type} for name, type in (("cents", "long"), ("balance", "long"), ("note", "string"))
    ]
    older = json.dumps({"type": "record", "name": "Deposited", "namespace": "accounts", "fields": fields})
    await connection.execute("insert into schemas values ('older', 'accounts.Deposited', 1, %s)", (older,))
    await connection.execute("update events set schema = 'older', data = data || %s", (b"\x02n",))
    assert (await datapunk("projections", "rebuild", NAME)).status == 0
    assert await balances(connection) == [("a", 1, 1)]


async def test_a_second_rebuild_is_refused(datapunk: CommandLine, connection: AsyncConnection[Any]) -> None:
    await serve(connection, 1)
    await connection.execute(statement("try_lock_rebuild"), {"projection": NAME})
    ended = await datapunk("projections", "rebuild", NAME)
    refusal = f"rebuild_under_way: {NAME} is being rebuilt already; wait for that to end"
    assert (ended.status, ended.err.splitlines()[-1]) == (1, refusal)


async def test_a_rebuild_that_fails_says_why_in_one_line(
    datapunk: CommandLine, connection: AsyncConnection[Any]
) -> None:
    await serve(connection, 1)
    await connection.execute("update events set data = ''")
    ended = await datapunk("projections", "rebuild", NAME)
    assert (ended.status, ended.err.splitlines()[-1].partition(" ")[0]) == (1, "undecodable:")


async def test_a_rebuild_that_is_interrupted_leaves_nothing_behind(
    datapunk: CommandLine, connection: AsyncConnection[Any]
) -> None:
    await serve(connection, 5000)

    async def building() -> bool:
        cursor = await connection.execute("select from pg_namespace where nspname = 'accounts_balances_g2'")
        return cursor.rowcount > 0

    one_by_one = {"DATAPUNK_PROJECTION_BATCH": "1"}
    async with datapunk.running("projections", "rebuild", NAME, **one_by_one) as running:
        await eventually(building, "the rebuild under way")
        assert await running.stop(signal.SIGINT) == 130
    assert not await building()
    assert await balances(connection) == [("a", 5000, 5000)]


async def test_pause_and_resume_say_what_they_did_and_how_to_undo_it(
    datapunk: CommandLine, connection: AsyncConnection[Any]
) -> None:
    await serve(connection, 1)
    ended = await datapunk("projections", "pause", NAME)
    assert ended.out == f"{NAME} is paused; go on with: datapunk projections resume {NAME}\n"
    assert await is_paused(connection)
    assert (await datapunk("projections", "resume", NAME)).out == f"{NAME} goes on\n"
    assert not await is_paused(connection)


async def test_pause_as_json(datapunk: CommandLine, connection: AsyncConnection[Any]) -> None:
    await serve(connection, 1)
    assert (await datapunk("projections", "pause", NAME, "--json")).json == {"projection": NAME, "is_paused": True}


async def is_paused(conn: AsyncConnection[Any]) -> bool:
    """What the database says."""
    row = await (await conn.execute("select is_paused from projections")).fetchone()
    return row == (True,)


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ("rebuild", "configuration: there is no projection 'accounts.blances'; there are accounts.balances, lake."),
        ("pause", "no projection 'accounts.blances' was ever run; see: datapunk projections list"),
        ("resume", "no projection 'accounts.blances' was ever run; see: datapunk projections list"),
    ],
)
async def test_a_name_that_is_wrong_is_refused_with_what_to_do(
    datapunk: CommandLine, database_url: str, command: str, says: str
) -> None:
    ended = await datapunk("projections", command, "accounts.blances")
    assert ended.status == 1
    assert says in ended.err


async def test_without_a_database_it_says_so(datapunk: CommandLine, free_port: int) -> None:
    url = f"postgresql://nobody@127.0.0.1:{free_port}/none"
    ended = await datapunk("projections", "list", DATAPUNK_DATABASE_URL=url)
    assert ended.status == 1
    assert "the database can't be reached" in ended.err
