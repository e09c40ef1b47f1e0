"""Messages out and in over a real RabbitMQ: of any size, refused, returned, held back, handed back."""

from __future__ import annotations

import asyncio
import random

import pytest
from pamqp import commands as amqp

from datapunk.broker.deliveries import HELD_BYTES, TAKEN_BYTES, settle
from datapunk.broker.link import Link
from datapunk.broker.properties import Properties
from datapunk.errors import BrokerError, ConnectionLost, PublishRefused
from tests.datapunk.broker.conftest import OpenLink, queue_of, take
from tests.management import Management
from tests.working import eventually


@pytest.mark.parametrize("size", [0, 1, 131_063, 131_064, 131_065, 5_000_000])
async def test_a_body_of_any_size_arrives_as_it_was_sent(link: Link, size: int) -> None:
    channel = await link.channel(confirms=True)
    await queue_of(channel)
    body = random.Random(size).randbytes(size)
    properties = Properties(message_id="1", headers={"text": "ä", "number": 2**40})
    for _ in range(2):
        channel.publish("", "queue", properties, body)
    await channel.confirmed(channel.flush())
    await channel.consume("queue", "c")
    for delivery in await take(channel, 2):
        assert delivery.body == body
        assert delivery.properties == properties
        assert (delivery.exchange, delivery.routing_key, delivery.redelivered) == ("", "queue", False)


async def test_ten_thousand_messages_arrive_in_order_and_all_are_confirmed(link: Link) -> None:
    channel = await link.channel(confirms=True)
    await queue_of(channel)
    for number in range(10_000):
        channel.publish("", "queue", Properties(), b"%d" % number)
        if number % 200 == 199:
            tag = channel.flush()
    await channel.confirmed(tag)
    await channel.consume("queue", "c")
    assert [int(delivery.body) for delivery in await take(channel, 10_000)] == list(range(10_000))


async def test_a_mandatory_message_without_a_route_comes_back_before_it_is_confirmed(link: Link) -> None:
    channel = await link.channel(confirms=True)
    await queue_of(channel)
    channel.publish("", "nowhere", Properties(message_id="lost"), b"body", mandatory=True)
    channel.publish("", "queue", Properties(message_id="kept"), b"body", mandatory=True)
    channel.publish("", "nowhere", Properties(message_id="dropped"), b"body")
    await channel.confirmed(channel.flush())
    assert [(back.properties.message_id, back.routing_key, back.body) for back in channel.returned] == [
        ("lost", "nowhere", b"body")
    ]
    assert channel.returned[0].reply_text == "NO_ROUTE"


async def test_what_a_full_queue_refuses_is_a_refused_publish(link: Link) -> None:
    channel = await link.channel(confirms=True)
    await queue_of(channel, arguments={"x-max-length": 1, "x-overflow": "reject-publish"})
    channel.publish("", "queue", Properties(), b"1")
    await channel.confirmed(channel.flush())
    channel.publish("", "queue", Properties(), b"2")
    with pytest.raises(PublishRefused, match="message 2"):
        await channel.confirmed(channel.flush())


async def test_no_more_is_delivered_than_the_prefetch_until_something_is_acknowledged(link: Link) -> None:
    sender, channel = await link.channel(confirms=True), await link.channel(prefetch=3)
    await queue_of(sender)
    for number in range(5):
        sender.publish("", "queue", Properties(), b"%d" % number)
    await sender.confirmed(sender.flush())
    await channel.consume("queue", "c")
    first = await take(channel, 3)
    # Asking the broker for something proves that it had the time to deliver more.
    await channel.ask(amqp.Basic.Qos(prefetch_count=3))
    more = asyncio.ensure_future(take(channel, 2))
    await asyncio.sleep(0)
    assert channel.last_delivery_tag == 3
    settle(first)
    assert [delivery.body for delivery in await more] == [b"3", b"4"]


async def test_large_messages_are_held_back_at_the_broker_and_come_in_small_batches(open_link: OpenLink) -> None:
    link, reading = await open_link(), await open_link()
    sending = await link.channel(confirms=True)
    await queue_of(sending)
    size, count = 12 * 1024 * 1024, 10
    for number in range(count):
        sending.publish("", "queue", Properties(message_id=str(number)), bytes(size))
        await sending.confirmed(sending.flush())
    channel = await reading.channel(prefetch=1000)
    await channel.consume("queue", "c")

    async def is_full() -> bool:
        return channel.last_delivery_tag * size > HELD_BYTES

    await eventually(is_full, "as much as is held")
    assert channel.last_delivery_tag == HELD_BYTES // size + 1
    came: list[str] = []
    while len(came) < count:
        batch = await channel.take(1000, 0.0)
        assert sum(len(delivery.body) for delivery in batch) <= TAKEN_BYTES
        came += [delivery.properties.message_id or "" for delivery in batch]
    assert came == [str(number) for number in range(count)]


async def test_after_cancelling_all_that_was_delivered_can_be_taken_and_the_rest_is_left(link: Link) -> None:
    sender, channel = await link.channel(confirms=True), await link.channel(prefetch=10)
    await queue_of(sender)
    for number in range(25):
        sender.publish("", "queue", Properties(), b"%d" % number)
    await sender.confirmed(sender.flush())
    await channel.consume("queue", "c")
    taken = await take(channel, 1)
    await channel.cancel("c")
    while taken[-1].delivery_tag < channel.last_delivery_tag:
        taken += await channel.take(100, 0.0)
    settle(taken)
    answer = await sender.ask(amqp.Queue.Declare(queue="queue", passive=True))
    assert isinstance(answer, amqp.Queue.DeclareOk)
    assert (len(taken), answer.message_count) == (10, 15)


async def test_what_is_handed_back_is_delivered_again_and_says_so(link: Link) -> None:
    channel = await link.channel(confirms=True)
    await queue_of(channel)
    channel.publish("", "queue", Properties(), b"1")
    await channel.confirmed(channel.flush())
    await channel.consume("queue", "c")
    channel.nack((await take(channel, 1))[0].delivery_tag)
    assert (await take(channel, 1))[0].redelivered


async def test_a_method_that_the_broker_refuses_ends_its_channel_and_leaves_the_others(link: Link) -> None:
    broken, whole = await link.channel(confirms=True), await link.channel(confirms=True)
    with pytest.raises(BrokerError, match="no queue 'nowhere'"):
        await broken.consume("nowhere", "c")
    with pytest.raises(BrokerError, match="no queue 'nowhere'"):
        await broken.confirmed(broken.flush() + 1)
    await queue_of(whole)
    whole.publish("", "queue", Properties(), b"1")
    await whole.confirmed(whole.flush())
    again = await link.channel()
    await again.consume("queue", "c")
    assert [delivery.body for delivery in await take(again, 1)] == [b"1"]


async def test_publishing_where_there_is_no_exchange_fails_whoever_waits_for_the_confirm(link: Link) -> None:
    channel = await link.channel(confirms=True)
    channel.publish("nowhere", "key", Properties(), b"1")
    with pytest.raises(BrokerError, match="no exchange 'nowhere'"):
        await channel.confirmed(channel.flush())


async def test_a_consumer_whose_queue_is_deleted_is_told_after_what_came_before(link: Link) -> None:
    channel, other = await link.channel(confirms=True), await link.channel()
    await queue_of(channel)
    channel.publish("", "queue", Properties(), b"1")
    await channel.confirmed(channel.flush())
    await channel.consume("queue", "c")
    await other.ask(amqp.Queue.Delete(queue="queue"))
    assert (await take(channel, 1))[0].body == b"1"
    with pytest.raises(ConnectionLost, match="its queue is gone"):
        await take(channel, 1)


async def test_a_message_as_another_user_is_refused(link: Link) -> None:
    channel = await link.channel(confirms=True)
    channel.publish("", "queue", Properties(user_id="somebody-else"), b"1")
    with pytest.raises(BrokerError, match="user_id"):
        await channel.confirmed(channel.flush())


async def test_what_was_delivered_and_not_acknowledged_goes_to_the_next_consumer(
    open_link: OpenLink, management: Management
) -> None:
    first, second = await open_link("first"), await open_link("second")
    channel = await first.channel(confirms=True)
    await queue_of(channel)
    channel.publish("", "queue", Properties(), b"1")
    await channel.confirmed(channel.flush())
    await channel.consume("queue", "c")
    await take(channel, 1)
    await management.kill_connection("first")
    other = await second.channel()
    await other.consume("queue", "c")
    delivery = (await take(other, 1))[0]
    assert (delivery.body, delivery.redelivered) == (b"1", True)
