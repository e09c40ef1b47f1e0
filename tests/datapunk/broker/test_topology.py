"""What a module has at the broker: declared as it should be, more than once, by several at a time."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any

import aio_pika
import pytest
from aio_pika.abc import AbstractIncomingMessage, AbstractQueue

from datapunk.broker.topology import apply, topology_of
from datapunk.errors import ConfigurationError, ConnectionLost
from datapunk.settings import Settings
from tests.accounts.module import accounts
from tests.management import Management
from tests.raw import PATIENCE_S, raw_client


async def test_everything_is_there_as_declared(settings: Settings, management: Management) -> None:
    topology = await apply(settings, accounts)
    exchanges = {
        one["name"]: (one["type"], one["durable"], one["arguments"])
        for one in management.get("exchanges")
        if one["name"] and not one["name"].startswith("amq.")
    }
    assert exchanges == {one.name: (one.type, True, dict(one.arguments)) for one in topology.exchanges}
    queues = {one["name"]: (one["durable"], one["arguments"]) for one in management.get("queues")}
    assert queues == {one.name: (True, dict(one.arguments)) for one in topology.queues}
    bindings = {
        (one["source"], one["destination"], one["destination_type"], one["routing_key"], _text(one["arguments"]))
        for one in management.get("bindings")
        if one["source"]
    }
    assert bindings == {
        (
            one.source,
            one.destination,
            "exchange" if one.to_exchange else "queue",
            one.routing_key,
            _text(one.arguments),
        )
        for one in topology.bindings
    }


def _text(arguments: Mapping[str, Any]) -> str:
    return json.dumps(dict(arguments), sort_keys=True)


async def test_the_shards_are_quorum_queues_with_one_consumer_each_and_lose_nothing(
    settings: Settings, management: Management
) -> None:
    await apply(settings, accounts)
    shards = [one for one in management.get("queues") if one["name"].startswith("accounts.commands.")]
    assert len(shards) == settings.shards
    for shard in shards:
        assert shard["type"] == "quorum"
        assert shard["arguments"]["x-single-active-consumer"] is True
        assert shard["arguments"]["x-dead-letter-strategy"] == "at-least-once"
        assert shard["arguments"]["x-overflow"] == "reject-publish"


async def test_applying_again_changes_nothing(settings: Settings, management: Management) -> None:
    first = await apply(settings, accounts)
    before = [management.get(what) for what in ("exchanges", "bindings")]
    assert await apply(settings, accounts) == first
    assert [management.get(what) for what in ("exchanges", "bindings")] == before


async def test_several_processes_may_apply_at_once(settings: Settings) -> None:
    applied = await asyncio.gather(*(apply(settings, accounts) for _ in range(5)))
    assert applied == [applied[0]] * 5


async def test_the_first_to_come_settles_the_number_of_shards(settings: Settings, management: Management) -> None:
    await apply(settings, accounts)
    more = await apply(settings.model_copy(update={"shards": 16}), accounts)
    assert more.shards == settings.shards
    shards = [one["name"] for one in management.get("queues") if one["name"].startswith("accounts.commands.")]
    assert len(shards) == settings.shards


async def test_a_queue_that_is_there_with_other_arguments_is_named_with_what_to_do(settings: Settings) -> None:
    async with await aio_pika.connect(settings.broker_url) as connection:
        channel = await connection.channel()
        await channel.declare_queue("accounts.dead", durable=True)
    with pytest.raises(ConfigurationError, match=r"queue accounts\.dead is there already with other arguments"):
        await apply(settings, accounts)


async def test_an_exchange_that_is_there_as_another_type_is_named_with_what_to_do(settings: Settings) -> None:
    async with await aio_pika.connect(settings.broker_url) as connection:
        channel = await connection.channel()
        await channel.declare_exchange("accounts.commands", "fanout", durable=True)
    with pytest.raises(ConfigurationError, match=r"exchange accounts\.commands is there already"):
        await apply(settings, accounts)


async def test_a_broker_that_is_away_is_said_to_be(settings: Settings) -> None:
    away = settings.model_copy(update={"broker_url": "amqp://guest:guest@127.0.0.1:1/"})
    with pytest.raises(ConnectionLost, match="is it up"):
        await apply(away, accounts)


async def test_wrong_credentials_are_said_to_be_wrong(settings: Settings) -> None:
    wrong = settings.model_copy(update={"broker_url": settings.broker_url.replace("guest:guest", "guest:wrong")})
    with pytest.raises(ConnectionLost, match="ACCESS_REFUSED"):
        await apply(wrong, accounts)


@pytest.mark.parametrize("queue", ["accounts.commands.0", "unroutable", "accounts.queries"])
async def test_a_rejected_message_arrives_among_the_dead_letters(settings: Settings, queue: str) -> None:
    await apply(settings, accounts)
    async with raw_client(settings) as raw:
        id = await raw.publish("", queue, b"body", headers={"actor-id": "a"})
        await _reject_one(await raw.channel.get_queue(queue, ensure=False))
        dead = await raw.dead_letter("unroutable" if queue == "unroutable" else "accounts")
        assert (dead.message_id, dead.body) == (id, b"body")
        deaths = dead.headers["x-death"]
        assert isinstance(deaths, list)
        assert [(death["queue"], death["reason"]) for death in deaths] == [(queue, "rejected")]  # type: ignore[index, call-overload]


async def _reject_one(queue: AbstractQueue) -> None:
    async with asyncio.timeout(PATIENCE_S), queue.iterator() as messages:  # a single active consumer may not `get`
        await (await anext(messages)).nack(requeue=False)


async def test_a_query_that_nobody_takes_in_time_is_no_dead_letter(settings: Settings) -> None:
    await apply(settings, accounts)
    async with raw_client(settings) as raw:
        await raw.channel.default_exchange.publish(aio_pika.Message(b"late", expiration=0), "accounts.queries")
        await raw.publish("", "accounts.queries", b"wrong")
        await _reject_one(await raw.channel.get_queue("accounts.queries", ensure=False))
        assert (await raw.dead_letter()).body == b"wrong"
        dead = await raw.channel.get_queue("accounts.dead", ensure=False)
        assert await dead.get(fail=False) is None


async def test_all_commands_of_an_actor_meet_in_one_queue_and_actors_are_spread(settings: Settings) -> None:
    await apply(settings, accounts)
    async with raw_client(settings) as raw:
        for _ in range(2):
            for account in range(40):
                await raw.deposit(f"account-{account}", 1)
        arrived: asyncio.Queue[tuple[object, str]] = asyncio.Queue()
        for shard in range(settings.shards):
            queue = await raw.channel.get_queue(f"accounts.commands.{shard}", ensure=False)

            async def on_message(message: AbstractIncomingMessage, name: str = queue.name) -> None:
                await arrived.put((message.headers["actor-id"], name))

            await queue.consume(on_message, no_ack=True)
        found: dict[object, set[str]] = {}
        async with asyncio.timeout(PATIENCE_S):
            for _ in range(80):
                account, name = await arrived.get()
                found.setdefault(account, set()).add(name)
    assert len(found) == 40
    assert all(len(queues) == 1 for queues in found.values())
    assert len(set.union(*found.values())) == settings.shards


def test_every_route_of_a_module_ends_in_a_queue_of_its_own() -> None:
    topology = topology_of(accounts, shards=3)
    names = {queue.name for queue in topology.queues} | {exchange.name for exchange in topology.exchanges}
    assert all(binding.source in names and binding.destination in names for binding in topology.bindings)
