"""`datapunk tail`: events as they are published."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from datapunk.client import Client
from datapunk.settings import Settings
from tests.accounts.commands import Deposit, OpenAccount
from tests.accounts.module import accounts
from tests.command_line import CommandLine, Running
from tests.working import DEADLINE_S, eventually, working


@asynccontextmanager
async def tailing(datapunk: CommandLine, client: Client, *arguments: str) -> AsyncIterator[Running]:
    """A tail that has begun to listen: it has printed the opening of an account."""
    async with datapunk.running("tail", *arguments) as running:

        async def began() -> bool:
            await client.send(OpenAccount(owner="Ada"), f"probe-{next(_numbers)}")
            return await line_of(running, patience_s=0.2) is not None

        await eventually(began, "the first line")
        yield running


_numbers = iter(range(10_000))


async def line_of(running: Running, patience_s: float = DEADLINE_S) -> str | None:
    """The next line that it prints; none in time: None."""
    assert running.process.stdout is not None
    try:
        async with asyncio.timeout(patience_s):
            return (await running.process.stdout.readline()).decode()
    except TimeoutError:
        return None


async def deposit_of(running: Running) -> Any:
    while True:
        line = await line_of(running)
        assert line is not None
        event = json.loads(line)
        if event["type"] == "accounts.Deposited":
            return event


async def test_each_event_is_a_line_of_json(datapunk: CommandLine, client: Client) -> None:
    async with tailing(datapunk, client, "accounts.#", "--json") as running:
        outcome = await client.send(Deposit(cents=7), "a")
        event = await deposit_of(running)
    assert event["data"] == {"cents": 7, "balance": 7}
    assert (event["actor"], event["version"], event["tenant"]) == ("accounts.account/a", 1, "default")
    assert (event["id"], event["position"]) == (outcome.events[0], outcome.position)
    assert event["causation_id"] == str(outcome.command_id)


async def test_for_people_a_line_has_time_type_actor_and_body(datapunk: CommandLine, client: Client) -> None:
    async with tailing(datapunk, client, "accounts.account.*") as running:
        await client.send(Deposit(cents=7), "a")
        line = await line_of(running)
        while line is not None and "Deposited" not in line:
            line = await line_of(running)
    assert line is not None
    assert line.split(maxsplit=1)[1].split() == [
        *("accounts.Deposited", "accounts.account/a", "v1"),
        '{"cents":7,"balance":7}',
    ]


async def test_a_pattern_chooses(datapunk: CommandLine, client: Client) -> None:
    async with tailing(datapunk, client, "accounts.account.AccountOpened", "--json") as running:
        await client.send(Deposit(cents=7), "a")
        await client.send(OpenAccount(owner="Bob"), "b")
        lines = [await line_of(running)]
        while json.loads(lines[-1] or "{}")["actor"] != "accounts.account/b":
            lines.append(await line_of(running))
    assert {json.loads(line or "{}")["type"] for line in lines} == {"accounts.AccountOpened"}


async def test_a_module_that_was_never_run_is_waited_for_and_does_not_hide_the_others(
    datapunk: CommandLine, client: Client
) -> None:
    async with tailing(datapunk, client, "#", "--json") as running:  # Lake is installed, and not there

        async def told() -> bool:
            return any("waiting for lake" in line for line in running.lines)

        await eventually(told, "that Lake isn't there")
        await client.send(Deposit(cents=7), "a")
        assert (await deposit_of(running))["data"]["cents"] == 7


async def test_a_module_that_is_not_installed_is_told_with_those_that_are(datapunk: CommandLine) -> None:
    ended = await datapunk("tail", "orders.#")
    assert ended.status == 1
    assert "no module named 'orders' is installed; a pattern starts with one of accounts, lake" in ended.err


async def test_a_broker_that_is_away_is_one_clear_error(datapunk: CommandLine) -> None:
    ended = await datapunk("tail", DATAPUNK_BROKER_URL="amqp://guest:guest@127.0.0.1:1/")
    assert ended.status == 1
    assert ended.err.startswith("connection_lost: no broker answers")


async def test_ctrl_c_ends_it_without_a_word(datapunk: CommandLine, settings: Settings) -> None:
    async with (
        working([accounts], settings) as client,
        tailing(datapunk, client, "accounts.#") as running,
    ):
        assert await running.stop(signal.SIGINT) == 130
        assert running.lines == []
