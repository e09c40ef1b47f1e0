"""Whatever is wrong with a message: its sender is told, and the original is kept as it came."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import pytest
from aio_pika.abc import AbstractIncomingMessage
from prometheus_client import REGISTRY

from datapunk.broker.link import Link
from datapunk.broker.properties import Properties
from datapunk.messages.outcome import Status
from datapunk.messages.registry import Registry
from datapunk.settings import Settings
from tests.accounts.module import accounts
from tests.raw import RawClient, raw_client
from tests.working import working

GOOD = b'{"cents":1}'
GZIPPED = {"content_encoding": "gzip"}


@dataclass(frozen=True)
class Bad:
    """A message that can't be handled, and what is to be said of it."""

    code: str
    says: str
    body: bytes = GOOD
    routing_key: str = "accounts.Deposit"
    options: dict[str, Any] = field(default_factory=dict)
    headers: dict[str, Any] = field(default_factory=lambda: {"actor-id": "a"})


CASES = {
    "not Avro": Bad("undecodable", "malformed", b"hello"),
    "empty": Bad("undecodable", "truncated", b""),
    "unknown schema fingerprint": Bad(
        "unknown_schema",
        "no schema with fingerprint",
        headers={"actor-id": "a", "schema": "0123456789abcdef"},
    ),
    "wrong type": Bad("undecodable", "$.cents", b'{"cents":"one"}'),
    "unknown field": Bad("undecodable", "unknown field `euros`", b'{"cents":1,"euros":1}'),
    "missing actor-id": Bad("missing_actor_id", "header `actor-id` is missing", headers={}),
    "unknown command type": Bad("unknown_type", "nobody handles 'accounts.Steal'", routing_key="accounts.Steal"),
    "type and routing key differ": Bad("unknown_type", "accounts.Steal", options={"type": "accounts.Steal"}),
    "too deep": Bad("undecodable", "accounts.Deposit", b'{"cents":' + b"[" * 10_000 + b"]" * 10_000 + b"}"),
    "NaN": Bad("undecodable", "malformed", b'{"cents":NaN}'),
    "Infinity": Bad("undecodable", "malformed", b'{"cents":-Infinity}'),
    "too large a number": Bad("undecodable", "$.cents", b'{"cents":92233720368547758080}'),
    "invalid UTF-8": Bad("undecodable", "UTF-8", b'{"owner":"\xff\xfe"}', "accounts.OpenAccount"),
    "NUL in a text": Bad("undecodable", "NUL", b'{"owner":"a\\u0000b"}', "accounts.OpenAccount"),
    "long correlation id": Bad(
        "invalid_envelope", "`correlation-id` has at most 255", headers={"actor-id": "a", "correlation-id": "é" * 128}
    ),
    "message id not a UUID": Bad("invalid_envelope", "must be a UUID", options={"message_id": "42"}),
    "unknown content type": Bad("unsupported_content_type", "text/plain", options={"content_type": "text/plain"}),
    "tenant with blanks": Bad("invalid_envelope", "tenant", headers={"actor-id": "a", "tenant": "a b"}),
    "control characters in actor-id": Bad("invalid_envelope", "actor-id", headers={"actor-id": "a\nb"}),
    "truncated binary": Bad("undecodable", "cut off", b"", options={"content_type": "application/avro"}),
    "NUL in a text in binary": Bad(
        "undecodable", "NUL", b"\x04a\x00", "accounts.OpenAccount", {"content_type": "application/avro"}
    ),
    "invalid UTF-8 in binary": Bad(
        "undecodable", "UTF-8", b"\x04\xff\xfe", "accounts.OpenAccount", {"content_type": "application/avro"}
    ),
    "a length of many gigabytes in binary": Bad(
        "undecodable",
        "accounts.OpenAccount",
        b"\xfe\xff\xff\xff\xff\xff\x01",
        "accounts.OpenAccount",
        {"content_type": "application/avro"},
    ),
    "bytes after the record": Bad(
        "undecodable", "left over", b"\x02\x02", options={"content_type": "application/avro"}
    ),
    "text after the record": Bad("undecodable", "trailing", b'{"cents":1} {"cents":2}'),
    "missing field": Bad("undecodable", "missing required field `cents`", b"{}"),
    "not a record": Bad("undecodable", "array", b"[1]"),
    "missing type": Bad("invalid_envelope", "`type` is missing", options={"type": ""}),
    "actor-id that isn't text": Bad("invalid_envelope", "`actor-id` must be text", headers={"actor-id": 7}),
    "actor-id that is too long": Bad("invalid_envelope", "200 characters", headers={"actor-id": "a" * 201}),
    "no gzip": Bad("undecodable", "no gzip", options=GZIPPED),
    "gzip that is cut off": Bad("undecodable", "cut off", gzip.compress(GOOD)[:-9], options=GZIPPED),
    "bytes after the gzip": Bad("undecodable", "4 bytes follow", gzip.compress(GOOD) + b"more", options=GZIPPED),
    "50 MB in gzip": Bad("oversized", "unpacked", gzip.compress(GOOD + b" " * 50 * 1024 * 1024), options=GZIPPED),
    "another compression": Bad("unsupported_content_type", "'zstd'", options={"content_encoding": "zstd"}),
    "50 MB": Bad("oversized", "52,428,811 bytes", b'{"cents":1}' + b" " * 50 * 1024 * 1024),
}


@pytest.fixture
async def raw(settings: Settings) -> AsyncIterator[RawClient]:
    async with working([accounts], settings), raw_client(settings) as client:
        yield client


@pytest.fixture(scope="module")
def registry() -> Registry:
    return Registry.of([accounts])


@pytest.mark.parametrize("name", CASES)
async def test_bad_input_is_answered_and_kept(raw: RawClient, registry: Registry, name: str) -> None:
    bad = CASES[name]
    id = await raw.publish("accounts.commands", bad.routing_key, bad.body, headers=bad.headers, **bad.options)
    outcome = await raw.outcome(registry)
    assert (outcome.status, outcome.code) == (Status.Failed, bad.code)
    assert bad.says in outcome.message
    dead = await raw.dead_letter()
    assert dead.body == bad.body
    assert dead.message_id == id
    assert dead.headers["dead-reason"] == bad.code
    assert bad.says in str(dead.headers["dead-message"])
    # What comes after is handled as if nothing had been.
    await raw.deposit("a", 1)
    assert (await raw.outcome(registry)).status is Status.Accepted


async def test_a_command_put_straight_into_the_queue_of_a_shard_is_refused_and_kept(
    raw: RawClient, settings: Settings, registry: Registry
) -> None:
    link = await Link.open(settings.broker_url)
    channel = await link.channel()
    properties = Properties(
        type="accounts.Deposit", message_id=str(uuid4()), headers={"actor-id": "a"}, reply_to=raw.reply_to
    )
    channel.publish("", "accounts.commands.0", properties, GOOD)
    channel.flush()
    outcome = await raw.outcome(registry)
    assert (outcome.status, outcome.code) == (Status.Failed, "invalid_envelope")
    assert "publish it to accounts.commands" in outcome.message
    assert (await raw.dead_letter()).message_id == properties.message_id
    await raw.deposit("a", 1)
    assert (await raw.outcome(registry)).version == 1
    await link.close()


async def test_an_id_with_another_body_is_refused_and_kept(raw: RawClient, registry: Registry) -> None:
    id = str(uuid4())
    await raw.deposit("a", 1, message_id=id)
    assert (await raw.outcome(registry)).status is Status.Accepted
    await raw.deposit("a", 2, message_id=id)
    outcome = await raw.outcome(registry)
    assert (outcome.status, outcome.code) == (Status.Failed, "command_id_reused")
    dead = await raw.dead_letter()
    assert (dead.body, dead.headers["dead-reason"]) == (b'{"cents":2}', "command_id_reused")


async def test_the_reply_to_a_bad_command_says_what_it_follows_from_and_whose_it_is(raw: RawClient) -> None:
    id = str(uuid4()).upper()
    headers = {"actor-id": "a", "tenant": "acme"}
    await raw.publish("accounts.commands", "accounts.Deposit", b"?", message_id=id, headers=headers)
    reply = await raw.replies.get()
    assert reply.correlation_id == id  # as it was written
    assert (reply.headers["causation-id"], reply.headers["tenant"]) == (id.lower(), "acme")


async def test_a_reply_that_finds_no_queue_is_kept_and_the_command_takes_effect(
    raw: RawClient, registry: Registry
) -> None:
    await raw.publish(
        "accounts.commands", "accounts.Deposit", GOOD, headers={"actor-id": "a"}, reply_to="no.such.queue"
    )
    await raw.deposit("a", 1)
    assert (await raw.outcome(registry)).version == 2
    await raw.deposit("a", 1)  # the engine looks at what came back with the next batch at the latest
    dead = await raw.dead_letter()
    assert dead.headers["dead-reason"] == "reply_unroutable"
    assert "no.such.queue" in str(dead.headers["dead-message"])


async def test_further_keys_of_a_sender_are_no_keys_of_its_dead_letter(raw: RawClient) -> None:
    elsewhere: asyncio.Queue[AbstractIncomingMessage] = asyncio.Queue()
    queue = await raw.channel.declare_queue(exclusive=True)
    for key in ("elsewhere.poison", "accounts.unknown_type"):
        await queue.bind("datapunk.dead", key)
    await queue.consume(elsewhere.put, no_ack=True)
    headers = {"actor-id": "a", "CC": ["elsewhere.poison"]}
    await raw.publish("accounts.commands", "accounts.Deposit", b"?", headers=headers)
    await raw.publish("accounts.commands", "accounts.Deposit", GOOD, headers={"actor-id": "a"}, type="accounts.Steal")
    dead = await raw.dead_letter()
    assert (dead.headers["dead-reason"], dead.headers["dead-cc"]) == ("undecodable", ["elsewhere.poison"])
    assert "CC" not in dead.headers
    assert (await elsewhere.get()).headers["dead-reason"] == "unknown_type"  # and nothing came before


async def test_without_a_reply_queue_the_original_is_kept_all_the_same(raw: RawClient) -> None:
    await raw.publish("accounts.commands", "accounts.Deposit", b"?", headers={"actor-id": "a"}, reply_to=None)
    assert (await raw.dead_letter()).body == b"?"


async def test_a_reply_queue_that_refuses_more_holds_up_nobody(raw: RawClient, registry: Registry) -> None:
    full = await raw.channel.declare_queue(
        exclusive=True, arguments={"x-max-length": 1, "x-overflow": "reject-publish"}
    )
    for _ in range(3):
        await raw.publish("accounts.commands", "accounts.Deposit", GOOD, headers={"actor-id": "a"}, reply_to=full.name)
    await raw.publish("accounts.commands", "accounts.Steal", GOOD, headers={"actor-id": "a"}, reply_to=full.name)
    await raw.deposit("a", 1)
    assert (await raw.outcome(registry)).version == 4
    assert (await raw.dead_letter()).headers["dead-reason"] == "unknown_type"


@pytest.mark.parametrize("reply_to", ["amq.rabbitmq.reply-to.garbage", "accounts.commands.0", "unroutable", "ä" * 127])
async def test_a_reply_to_an_odd_place_holds_up_nobody(raw: RawClient, registry: Registry, reply_to: str) -> None:
    await raw.publish("accounts.commands", "accounts.Deposit", GOOD, headers={"actor-id": "a"}, reply_to=reply_to)
    await raw.deposit("a", 1)
    assert (await raw.outcome(registry)).version == 2


async def test_a_command_without_an_id_is_refused_and_kept(
    raw: RawClient, settings: Settings, registry: Registry
) -> None:
    link = await Link.open(settings.broker_url)  # other clients make up an id
    channel = await link.channel()
    properties = Properties(type="accounts.Deposit", headers={"actor-id": "a"}, reply_to=raw.reply_to)
    channel.publish("accounts.commands", "accounts.Deposit", properties, GOOD)
    channel.flush()
    outcome = await raw.outcome(registry)
    assert (outcome.code, outcome.command_id) == ("invalid_envelope", None)
    assert "`message_id` is missing" in outcome.message
    assert (await raw.dead_letter()).body == GOOD
    await link.close()


@pytest.mark.parametrize("exchange", ["", "datapunk.unroutable"])
async def test_what_is_sent_to_no_module_is_kept_too(raw: RawClient, registry: Registry, exchange: str) -> None:
    id = await raw.publish(exchange, "unroutable", b"lost?")
    assert (await raw.outcome(registry)).code == "unknown_type"
    dead = await raw.dead_letter("unroutable")
    assert (dead.message_id, dead.body) == (id, b"lost?")
    assert dead.headers["dead-reason"] == "unknown_type"


async def test_types_that_strangers_make_up_are_one_label_of_the_metrics(raw: RawClient, registry: Registry) -> None:
    made_up = f"accounts.Steal{uuid4().hex}"
    await raw.publish("accounts.commands", "accounts.Deposit", GOOD, headers={"actor-id": "a"}, type=made_up)
    assert (await raw.outcome(registry)).code == "unknown_type"
    await raw.deposit("a", 1)
    await raw.outcome(registry)
    labels = {sample.labels.get("type") for metric in REGISTRY.collect() for sample in metric.samples}
    assert "accounts.Deposit" in labels
    assert made_up not in labels
