"""`datapunk send`: what it takes, what it shows, how it ends."""

from __future__ import annotations

import json
import os
from uuid import UUID, uuid4

import pytest

from datapunk.client import Client
from tests.accounts.queries import GetBalance
from tests.collector import collecting
from tests.command_line import CommandLine
from tests.working import eventually

DEPOSIT = ("send", "accounts.Deposit", "--actor", "a")


async def test_an_accepted_command_ends_with_0(datapunk: CommandLine, client: Client) -> None:
    ended = await datapunk(*DEPOSIT, "--data", '{"cents":5}', "--wait")
    assert ended.status == 0
    assert "accepted accounts.account/a: version 1" in ended.out
    assert ended.err == ""


async def test_without_wait_it_says_how_to_go_on(datapunk: CommandLine, client: Client) -> None:
    ended = await datapunk(*DEPOSIT, "--data", '{"cents":5}')
    assert ended.status == 0
    word, id, *rest = ended.out.split()
    assert (word, rest) == ("sent", ["datapunk", "trace", str(UUID(id))])


async def test_a_rejected_command_ends_with_3_and_says_why(datapunk: CommandLine, client: Client) -> None:
    ended = await datapunk(*DEPOSIT, "--data", '{"cents":-5}', "--wait")
    assert ended.status == 3
    assert "rejected negative: a deposit isn't negative" in ended.out


async def test_a_failed_command_ends_with_4_and_says_why(datapunk: CommandLine, client: Client) -> None:
    ended = await datapunk("send", "accounts.Misbehave", "--actor", "a", "--data", '{"how":"decide"}', "--wait")
    assert ended.status == 4
    assert "failed handler_failed: Account failed" in ended.out


@pytest.mark.parametrize(
    ("cents", "status", "outcome"), [(5, 0, {"status": "accepted", "version": 1}), (-5, 3, {"code": "negative"})]
)
async def test_with_json_the_outcome_is_one_line(
    datapunk: CommandLine, client: Client, cents: int, status: int, outcome: dict[str, object]
) -> None:
    ended = await datapunk(*DEPOSIT, "--data", json.dumps({"cents": cents}), "--wait", "--json")
    assert ended.status == status
    assert ended.json | outcome == ended.json
    assert ended.json["took_ms"] > 0


async def test_data_comes_from_a_file_or_from_standard_input(datapunk: CommandLine, client: Client) -> None:
    (datapunk.folder / "deposit.json").write_text('{"cents": 1}')
    for data, input in (("@deposit.json", b""), ("-", b'{"cents": 2}')):
        assert (await datapunk(*DEPOSIT, "--data", data, "--wait", input=input)).status == 0
    ended = await datapunk(*DEPOSIT, "--data", '{"cents":0}', "--wait", "--json")
    balance = await client.ask(GetBalance(account="a"), after_position=ended.json["position"])
    assert (balance.cents, balance.deposits) == (3, 3)  # pyright: ignore[reportAttributeAccessIssue]


async def test_a_repeated_id_has_no_second_effect(datapunk: CommandLine, client: Client) -> None:
    line = (*DEPOSIT, "--data", '{"cents":5}', "--id", str(uuid4()), "--wait", "--json")
    first, second = (await datapunk(*line)).json, (await datapunk(*line)).json
    assert {**first, "took_ms": 0} == {**second, "took_ms": 0}


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ('{"cents": 5', "line 1, column 12"),
        ('{\n "cents": five}', "line 2, column 11"),
        ('{"cents": 5}}', "line 1, column 13"),
        ('{"cents": "five"}', "$.cents"),
        ('{"euros": 5}', "euros"),
        ("", "line 1"),
    ],
)
async def test_wrong_json_is_refused_with_its_place(datapunk: CommandLine, data: str, says: str) -> None:
    ended = await datapunk(*DEPOSIT, "--data", data)
    assert ended.status == 1
    assert ended.err.startswith("undecodable: ")
    assert says in ended.err
    assert "Traceback" not in ended.err


async def test_a_file_that_is_not_there_is_wrong_usage(datapunk: CommandLine) -> None:
    ended = await datapunk(*DEPOSIT, "--data", "@nowhere.json")
    assert ended.status == 2
    assert "can't read nowhere.json" in ended.err


async def test_a_misspelt_type_is_told_what_was_perhaps_meant(datapunk: CommandLine) -> None:
    ended = await datapunk("send", "accounts.Depsit", "--actor", "a")
    assert ended.status == 1
    assert "did you mean accounts.Deposit" in ended.err


async def test_a_broker_that_is_away_is_told_with_what_to_do(datapunk: CommandLine) -> None:
    ended = await datapunk(*DEPOSIT, "--data", '{"cents":5}', DATAPUNK_BROKER_URL="amqp://guest:guest@127.0.0.1:1/")
    assert ended.status == 1
    assert ended.err.startswith("connection_lost: no broker answers")
    assert "datapunk status" in ended.err
    assert "Traceback" not in ended.err


async def test_a_reply_that_does_not_come_is_told_with_what_to_do(datapunk: CommandLine, client: Client) -> None:
    ended = await datapunk("query", "lake.ListDatasets", "--timeout", "0.2", DATAPUNK_QUERY_TIMEOUT_S="0.2")
    assert ended.status == 1
    assert "is somebody running the module?" in ended.err or "datapunk run lake" in ended.err


@pytest.mark.parametrize(
    ("name", "value"),
    [("DATAPUNK_SHARDS", "many"), ("DATAPUNK_HTTP_PORT", "99999"), ("DATAPUNK_QUERY_TIMEOUT_S", "-1")],
)
async def test_a_wrong_variable_is_named_with_its_value(datapunk: CommandLine, name: str, value: str) -> None:
    ended = await datapunk(*DEPOSIT, **{name: value})
    assert ended.status == 1
    assert name in ended.err
    assert repr(value) in ended.err
    assert "Traceback" not in ended.err


async def test_its_trace_begins_with_the_sender(datapunk: CommandLine, client: Client) -> None:
    with collecting() as collector:
        ended = await datapunk(*DEPOSIT, "--data", '{"cents":5}', DATAPUNK_OTLP_ENDPOINT=collector.url)
        assert ended.status == 0, ended.err

        async def published() -> bool:
            return any(span.name == "publish accounts.Deposit" for span in collector.spans)

        await eventually(published, "the span")
    assert {span.service for span in collector.spans} == {"datapunk send"}
    assert os.environ.get("DATAPUNK_OTLP_ENDPOINT") is None
