"""Whatever serves a queue comes back by itself when the broker drops its connection."""

from __future__ import annotations

import asyncio

import pytest

from datapunk.messages.outcome import Status
from datapunk.messages.registry import Registry
from datapunk.settings import Settings
from datapunk.store.connection import connect
from datapunk.store.read import read_stream
from tests.accounts.commands import Deposit
from tests.accounts.module import accounts
from tests.accounts.queries import Balance, GetBalance
from tests.management import Management
from tests.raw import raw_client
from tests.working import eventually, working


@pytest.mark.parametrize("name", ["accounts.consume", "accounts.publish", "accounts.queries", "accounts.wake"])
async def test_commands_and_queries_are_served_again_after_a_connection_is_killed(
    settings: Settings, management: Management, name: str
) -> None:
    async with working([accounts], settings) as client:
        assert (await client.send(Deposit(cents=1), "a")).version == 1
        await management.kill_connection(name)
        outcome = await client.send(Deposit(cents=1), "a")
        assert (outcome.status, outcome.version) == (Status.Accepted, 2)
        answer = await client.ask(GetBalance(account="a"), after_position=outcome.position)
        assert answer == Balance(cents=2, deposits=2)


async def test_what_has_no_route_is_answered_again_after_the_connection_is_killed(
    settings: Settings, management: Management
) -> None:
    registry = Registry.of([accounts])
    async with working([accounts], settings), raw_client(settings) as raw:
        await management.kill_connection("unroutable")
        id = await raw.publish("accounts.commands", "accounts.Steal", b"{}", headers={"actor-id": "a"})
        assert (await raw.outcome(registry)).code == "unknown_type"
        assert (await raw.dead_letter()).message_id == id


async def test_after_a_subscribers_queue_refused_events_a_module_goes_on_once_it_takes_them(
    settings: Settings,
) -> None:
    async with working([accounts], settings) as client, raw_client(settings) as raw:
        full = await raw.channel.declare_queue("full", arguments={"x-max-length": 1, "x-overflow": "reject-publish"})
        await full.bind("accounts.events", "#")
        await client.send(Deposit(cents=1), "a")
        waiting = asyncio.ensure_future(client.send(Deposit(cents=1), "a"))
        await eventually(lambda: _stored(settings, 2), "the second event in the store")
        await full.delete(if_empty=False)
        outcome = await waiting
        assert (outcome.status, outcome.version) == (Status.Accepted, 2)


async def _stored(settings: Settings, events: int) -> bool:
    async with await connect(settings.database_url) as conn:
        return len(await read_stream(conn, "default", "accounts.account/a")) == events
