"""Messages whose very properties can't be read: kept as they came, and no harm to those behind them."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator

import pytest

from datapunk.client import Client
from datapunk.messages.outcome import Status
from datapunk.settings import Settings
from tests.accounts.commands import Deposit
from tests.accounts.module import accounts
from tests.accounts.queries import Balance, GetBalance
from tests.datapunk.broker.raw_amqp import RawAmqp, split_properties
from tests.working import eventually, working


def short(text: bytes) -> bytes:
    return bytes([len(text)]) + text


def long(text: bytes) -> bytes:
    return struct.pack(">I", len(text)) + text


def nested(depth: int) -> bytes:
    table = b""
    for _ in range(depth):
        table = short(b"d") + b"F" + long(table)
    return table


ACTOR = short(b"actor-id") + b"S" + long(b"a")
MESSAGE_ID = short(b"6f9619ff-8b86-4d01-b42d-00cf4fc964ff")
HEADERS, MODE, ID, TIME = 0x2000, 0x1000, 0x0080, 0x0040
PERSISTENT = b"\x02"


def flags(*bits: int) -> bytes:
    return sum(bits).to_bytes(2, "big")


UNREADABLE = {
    "message id that isn't UTF-8": flags(HEADERS, MODE, ID) + long(ACTOR) + PERSISTENT + short(b"caf\xe9"),
    "name of a header that isn't UTF-8": flags(HEADERS, MODE, ID)
    + long(ACTOR + short(b"\xff\xfe") + b"I\x00\x00\x00\x01")
    + PERSISTENT
    + MESSAGE_ID,
    "headers of 100 KB": flags(HEADERS, MODE, ID)
    + long(ACTOR + short(b"big") + b"S" + long(b"x" * 100_000))
    + PERSISTENT
    + MESSAGE_ID,
    "headers 5,000 deep": flags(HEADERS, MODE, ID) + long(ACTOR + nested(5_000)) + PERSISTENT + MESSAGE_ID,
    "timestamp in the year 10000": flags(HEADERS, MODE, ID, TIME)
    + long(ACTOR)
    + PERSISTENT
    + MESSAGE_ID
    + struct.pack(">Q", 253_402_300_800),
    "header with a time at the end of all numbers": flags(HEADERS, MODE, ID)
    + long(ACTOR + short(b"at") + b"T" + b"\xff" * 8)
    + PERSISTENT
    + MESSAGE_ID,
    "timestamp at the end of all numbers": flags(HEADERS, MODE, ID, TIME)
    + long(ACTOR)
    + PERSISTENT
    + MESSAGE_ID
    + b"\xff" * 8,
}
PLACES = {
    "command": ("accounts.commands", "accounts.Deposit", "accounts.dead"),
    "unroutable": ("accounts.commands", "accounts.Steal", "unroutable.dead"),
    "query": ("accounts.queries", "accounts.GetBalance", "accounts.dead"),
}


@pytest.fixture
async def client(settings: Settings) -> AsyncIterator[Client]:
    async with working([accounts], settings) as client:
        yield client


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("name", UNREADABLE)
async def test_what_cannot_be_read_is_kept_as_it_came_and_the_next_good_message_is_handled(
    client: Client, broker_url: str, place: str, name: str
) -> None:
    exchange, routing_key, dead_queue = PLACES[place]
    properties, body = UNREADABLE[name], b'{"cents":1}'
    with RawAmqp(broker_url) as raw:
        raw.publish(exchange, routing_key, properties, body)
        kept = await eventually(lambda: asyncio.to_thread(raw.get, dead_queue), "the dead letter")
        assert raw.get(dead_queue) is None
    assert kept[1] == body
    sent, sent_headers = split_properties(properties)
    found, found_headers = split_properties(kept[0])
    assert found == sent
    assert {name: found_headers.get(name) for name in sent_headers} == sent_headers
    added = set(found_headers) - set(sent_headers)
    assert b"x-death" in added
    assert all(name.startswith(b"x-") for name in added)

    outcome = await client.send(Deposit(cents=1), "a")
    assert outcome.status is Status.Accepted
    answer = await client.ask(GetBalance(account="a"), after_position=outcome.position)
    assert answer == Balance(cents=1, deposits=1)


@pytest.mark.parametrize("name", UNREADABLE)
async def test_an_unreadable_message_among_the_events_keeps_no_projection_from_going_on(
    client: Client, broker_url: str, name: str
) -> None:
    await client.send(Deposit(cents=1), "a")
    with RawAmqp(broker_url) as raw:
        raw.publish("accounts.events", "default.accounts.account.Deposited", UNREADABLE[name], b"{}")
    outcome = await client.send(Deposit(cents=1), "a")
    answer = await client.ask(GetBalance(account="a"), after_position=outcome.position)
    assert answer == Balance(cents=2, deposits=2)


# Readable, and not writable: each number is written with nine bytes again, and so outgrows a frame.
GROWING = ACTOR + short(b"many") + b"A" + long(b"b\x01" * 30_000)


@pytest.mark.parametrize("place", PLACES)
async def test_what_cannot_be_written_again_is_kept_as_it_came_and_the_next_good_message_is_handled(
    client: Client, broker_url: str, place: str
) -> None:
    exchange, routing_key, dead_queue = PLACES[place]
    properties = flags(HEADERS, MODE, ID) + long(GROWING) + PERSISTENT + MESSAGE_ID
    with RawAmqp(broker_url) as raw:
        raw.publish(exchange, routing_key, properties, b"?")
        kept = await eventually(lambda: asyncio.to_thread(raw.get, dead_queue), "the dead letter")
    _, headers = split_properties(kept[0])
    assert (kept[1], headers[b"many"]) == (b"?", b"A" + long(b"b\x01" * 30_000))
    assert b"x-death" in headers
    outcome = await client.send(Deposit(cents=1), "a")
    assert outcome.status is Status.Accepted
    answer = await client.ask(GetBalance(account="a"), after_position=outcome.position)
    assert answer == Balance(cents=1, deposits=1)
