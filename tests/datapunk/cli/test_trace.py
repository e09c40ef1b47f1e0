"""`datapunk trace`: every step of one command."""

from __future__ import annotations

from uuid import uuid4

from datapunk.client import Client
from tests.accounts.commands import Deposit, OpenAccount
from tests.command_line import CommandLine
from tests.working import eventually

STEPS = ["sent", "received", "committed", "published", "projected"]


async def test_every_step_is_there_with_its_time(datapunk: CommandLine, client: Client) -> None:
    id = uuid4()
    await client.send(Deposit(cents=1), "a", message_id=id, correlation_id="c-9")

    async def is_through() -> dict[str, object] | None:
        ended = await datapunk("trace", str(id), "--json")
        assert ended.status == 0, ended.err
        return ended.json if {step["state"] for step in ended.json["steps"]} == {"done"} else None

    journey = await eventually(is_through, "all steps done")
    assert [step["name"] for step in journey["steps"]] == STEPS  # type: ignore[attr-defined, index]
    assert (journey["type"], journey["actor"]) == ("accounts.Deposit", "accounts.account/a")
    assert journey["correlation_id"] == "c-9"
    by_name = {step["name"]: step for step in journey["steps"]}  # type: ignore[attr-defined]
    assert all(by_name[name]["at"] for name in ("sent", "received", "committed", "projected"))
    assert 0 <= by_name["committed"]["after_ms"] <= by_name["projected"]["after_ms"]


async def test_for_people_it_is_a_table(datapunk: CommandLine, client: Client) -> None:
    id = uuid4()
    await client.send(Deposit(cents=1), "a", message_id=id)
    ended = await datapunk("trace", str(id))
    assert "accounts.Deposit → accounts.account/a  accepted" in ended.out
    for step in STEPS:
        assert step in ended.out


async def test_a_rejected_command_was_decided_and_why(datapunk: CommandLine, client: Client) -> None:
    id = uuid4()
    await client.send(OpenAccount(owner="x"), "a")
    await client.send(OpenAccount(owner="y"), "a", message_id=id)
    ended = await datapunk("trace", str(id), "--json")
    assert ended.json["outcome"]["code"] == "account_exists"
    assert [step["name"] for step in ended.json["steps"]] == ["decided"]


async def test_it_is_the_way_of_the_tenants_own_command(datapunk: CommandLine, client: Client) -> None:
    id = uuid4()
    for tenant, account in (("one", "a"), ("two", "b")):
        await client.send(Deposit(cents=1), account, message_id=id, tenant=tenant)
    ended = await datapunk("trace", str(id), "--tenant", "two", "--json")
    assert (ended.json["tenant"], ended.json["actor"]) == ("two", "accounts.account/b")
    assert (await datapunk("trace", str(id))).status == 1


async def test_an_unknown_id_is_told_with_where_it_may_be(datapunk: CommandLine) -> None:
    id = str(uuid4())
    ended = await datapunk("trace", id)
    assert ended.status == 1
    assert id in ended.err
    assert "dead letters" in ended.err


async def test_what_is_no_id_is_wrong_usage(datapunk: CommandLine) -> None:
    assert (await datapunk("trace", "42")).status == 2


async def test_a_database_that_is_away_is_told_with_what_to_do(datapunk: CommandLine) -> None:
    ended = await datapunk("trace", str(uuid4()), DATAPUNK_DATABASE_URL="postgresql://postgres@127.0.0.1:1/x")
    assert ended.status == 1
    assert ended.err.startswith("store: the database can't be reached")
    assert "datapunk status" in ended.err


async def test_a_database_without_tables_is_told_with_what_to_do(datapunk: CommandLine) -> None:
    ended = await datapunk(
        "trace",
        str(uuid4()),
        DATAPUNK_DATABASE_URL=datapunk.environment["DATAPUNK_DATABASE_URL"].rpartition("/")[0] + "/postgres",
    )
    assert ended.status == 1
    assert "datapunk run" in ended.err
    assert "Traceback" not in ended.err
