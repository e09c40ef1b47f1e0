"""`datapunk query`: asks, and shows the answer."""

from __future__ import annotations

from datapunk.client import Client
from tests.accounts.commands import Deposit
from tests.command_line import CommandLine

BALANCE = ("query", "accounts.GetBalance", "--data", '{"account":"a"}')


async def test_the_answer_reflects_ones_own_write(datapunk: CommandLine, client: Client) -> None:
    outcome = await client.send(Deposit(cents=7), "a")
    ended = await datapunk(*BALANCE, "--after", str(outcome.position), "--json")
    assert (ended.status, ended.json) == (0, {"cents": 7, "deposits": 1})


async def test_for_people_the_answer_is_indented(datapunk: CommandLine, client: Client) -> None:
    outcome = await client.send(Deposit(cents=7), "a")
    ended = await datapunk(*BALANCE, "--after", str(outcome.position))
    assert ended.out == '{\n  "cents": 7,\n  "deposits": 1\n}\n'


async def test_a_rejected_query_says_its_code(datapunk: CommandLine, client: Client) -> None:
    outcome = await client.send(Deposit(cents=7), "b")
    ended = await datapunk(*BALANCE, "--after", str(outcome.position))
    assert ended.status == 1
    assert ended.err == "account_unknown: nothing was ever put into a\n"


async def test_a_position_that_no_event_has_is_told(datapunk: CommandLine, client: Client) -> None:
    await client.send(Deposit(cents=7), "a")
    ended = await datapunk(*BALANCE, "--after", "999999")
    assert ended.status == 1
    assert ended.err.startswith("position_unknown: there is no position 999999 yet")


async def test_a_misspelt_type_is_told_what_was_perhaps_meant(datapunk: CommandLine) -> None:
    ended = await datapunk("query", "accounts.GetBalence")
    assert ended.status == 1
    assert "did you mean accounts.GetBalance" in ended.err
