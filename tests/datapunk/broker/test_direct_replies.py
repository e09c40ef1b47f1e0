"""Replies to the broker's own pseudo-queues: those to good names arrive, whatever other names they're among."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as limits
from hypothesis import strategies as st
from prometheus_client import REGISTRY

from datapunk.broker import direct_replies
from datapunk.broker.direct_replies import DirectReplies
from datapunk.broker.properties import Properties
from tests.management import Management
from tests.properties import examples
from tests.reply_addresses import HARMFUL, DirectConsumer, address, direct_consumer

SERVICE = "test"
NOWHERE = address(b"reply@1")


@pytest.fixture
async def consumer(broker_url: str) -> AsyncIterator[DirectConsumer]:
    async with direct_consumer(broker_url) as consumer:
        yield consumer


@pytest.fixture
async def replies(broker_url: str) -> AsyncIterator[DirectReplies]:
    async with DirectReplies(broker_url, SERVICE) as replies:
        yield replies


def send(replies: DirectReplies, name: str, body: bytes = b"") -> None:
    replies.send(name, Properties(), body)


def counted(code: str) -> float:
    return REGISTRY.get_sample_value("error_rate_total", {"service": SERVICE, "error_type": code}) or 0.0


async def test_replies_behind_one_that_breaks_the_link_arrive(replies: DirectReplies, consumer: DirectConsumer) -> None:
    send(replies, consumer.name, b"1")
    for name in HARMFUL.values():
        send(replies, name)
        send(replies, consumer.name, name.encode())
    assert await consumer.bodies(6) == [b"1", *(name.encode() for name in HARMFUL.values())]


async def test_a_name_that_was_harmless_and_is_not_any_more_takes_no_other_reply_along(
    replies: DirectReplies, consumer: DirectConsumer
) -> None:
    send(replies, consumer.name, b"1")
    assert await consumer.bodies(1) == [b"1"]
    replies._harmless[NOWHERE] = None  # pyright: ignore[reportPrivateUsage]  # as if its node had left since
    send(replies, NOWHERE)
    send(replies, consumer.name, b"2")
    assert await consumer.bodies(1) == [b"2"]


async def test_what_breaks_the_link_is_left_alone_and_counted(replies: DirectReplies, consumer: DirectConsumer) -> None:
    before = counted("reply_unroutable")
    for body in (b"1", b"2"):
        send(replies, NOWHERE)
        send(replies, NOWHERE)
        send(replies, consumer.name, body)
        assert await consumer.bodies(1) == [body]
    assert counted("reply_unroutable") == before + 4


async def test_after_the_link_is_killed_replies_arrive_again(
    replies: DirectReplies, consumer: DirectConsumer, management: Management
) -> None:
    send(replies, consumer.name, b"1")
    assert await consumer.bodies(1) == [b"1"]
    await management.kill_connection(f"{SERVICE}.replies")
    send(replies, consumer.name, b"2")
    assert await consumer.bodies(1) == [b"2"]


async def test_what_was_sent_before_the_end_arrives(broker_url: str, consumer: DirectConsumer) -> None:
    async with DirectReplies(broker_url, SERVICE) as replies:
        for number in range(100):
            send(replies, consumer.name, b"%d" % number)
    assert await consumer.bodies(100) == [b"%d" % number for number in range(100)]


async def test_nothing_waits_for_a_broker_that_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(direct_replies, "CLOSE_TIMEOUT_S", 0.01)
    before = counted("reply_lost")
    async with DirectReplies("amqp://127.0.0.1:1/", SERVICE) as replies:
        for _ in range(20):
            send(replies, NOWHERE, b" " * 1024 * 1024)
            await asyncio.sleep(0)
    assert counted("reply_lost") >= before + 4  # 16 MiB wait


harmful = st.integers(1, 2**20).map(lambda node: address(b"reply@%d" % node))


@given(names=st.lists(st.none() | harmful, max_size=12))  # None is the good one
@limits(max_examples=examples(30), suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
async def test_each_reply_to_a_good_name_arrives_once(
    replies: DirectReplies, consumer: DirectConsumer, monkeypatch: pytest.MonkeyPatch, names: list[str | None]
) -> None:
    monkeypatch.setattr(direct_replies, "RETRY_MOST_S", direct_replies.RETRY_FIRST_S)
    wanted: list[bytes] = []
    for number, name in enumerate(names):
        send(replies, name or consumer.name, body := b"%d" % number)
        wanted += [] if name else [body]
    send(replies, consumer.name, b"end")
    assert await consumer.bodies(len(wanted) + 1) == [*wanted, b"end"]
