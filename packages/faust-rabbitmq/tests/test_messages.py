"""What is sent arrives as it was, whoever sends it."""

from __future__ import annotations

from typing import Any

import aio_pika
import faust
import pytest
from faust.types import TP
from faust_rabbitmq import KEY_HEADER, ROUTED, TopicMismatch
from faust_rabbitmq.broker_hash import broker_partition
from workers import eventually, running
from yarl import URL


def app_of(broker: str, name: str = "messages", **settings: Any) -> faust.App:
    settings = {"topic_partitions": 4, "value_serializer": "raw", **settings}
    return faust.App(name, broker=broker, store="memory://", web_enabled=False, **settings)


def amqp_url(broker: str) -> str:
    return str(URL(broker).with_scheme("amqp").with_query(None))


async def test_key_value_headers_and_time_arrive_as_they_were_sent(broker: str) -> None:
    app = app_of(broker)
    topic = app.topic("letters", key_type=bytes, value_type=bytes)
    got: list[Any] = []

    @app.agent(topic)
    async def read(stream: faust.StreamT[Any]) -> None:
        async for event in stream.events():
            message = event.message
            got.append((message.key, message.value, message.headers, message.timestamp, message.partition))

    async with running(app):
        headers = {"trace": b"1", "empty": b""}
        await topic.send(key=b"k", value=b"v", headers=headers, timestamp=1_700_000_000.125)
        await eventually(lambda: got, "it has come")
        await topic.send(key=b"k", value=b"there", partition=3)
        await eventually(lambda: len(got) == 2, "it has come")
    where = broker_partition(b"k", 4)
    assert got[0] == (b"k", b"v", list(headers.items()), 1_700_000_000.125, where)
    assert got[1][1:2] + got[1][4:] == (b"there", 3)


@pytest.mark.parametrize("key_header", [None, "account"])
async def test_what_an_exchange_routes_here_is_read_with_its_key(broker: str, key_header: str | None) -> None:
    app = app_of(broker)
    config = {KEY_HEADER: key_header} if key_header else {}
    topic = app.topic("facts", key_type=bytes, value_type=bytes, config=config)
    got: list[Any] = []

    @app.agent(topic)
    async def read(stream: faust.StreamT[Any]) -> None:
        async for event in stream.events():
            got.append((event.key, event.value, dict(event.headers), event.message.tp))

    async with running(app):
        connection = await aio_pika.connect(amqp_url(broker))
        async with connection:
            channel = await connection.channel()
            source = await channel.declare_exchange("all.facts", "topic", durable=True)
            facts = await channel.get_exchange("facts")
            await facts.bind(source, "de.#")
            await source.publish(aio_pika.Message(b"body", headers={"account": "äöü", "n": 7}), "de.opened")
            await source.publish(aio_pika.Message(b"other", headers={"account": "x"}), "fr.opened")
        await eventually(lambda: got, "it has come")
    key = ("äöü" if key_header else "de.opened").encode()
    where = TP("facts", broker_partition(key, 4, by_header=bool(key_header)))
    assert got == [(key, b"body", {"account": "äöü".encode(), "n": b"7"}, where)]


async def test_what_faust_writes_can_be_read_over_amqp(broker: str) -> None:
    app = app_of(broker)
    topic = app.topic("letters", key_type=bytes, value_type=bytes, partitions=1)
    async with running(app):
        await topic.declare()
        await topic.send(key=b"k", value=b"v")
        await topic.send(key=b"k", value=None)
    connection = await aio_pika.connect(amqp_url(broker))
    async with connection:
        channel = await connection.channel()
        await channel.set_qos(10)
        queue = await channel.declare_queue("letters.0000", passive=True)
        bodies = []
        async with queue.iterator(arguments={"x-stream-offset": "first"}) as messages:
            async for message in messages:
                await message.ack()
                bodies.append(message.body)
                if len(bodies) == 3:
                    break
    assert bodies == [b"", b"v", b""]  # the stream's marker, and the two


async def test_a_topic_keeps_its_number_of_partitions(broker: str) -> None:
    for partitions in (4, 4, 5):
        app = app_of(broker)
        app.producer_only = True
        await app.producer.start()
        try:
            declaring = app.topic("letters", partitions=partitions).declare()
            if partitions == 5:
                with pytest.raises(TopicMismatch, match="has 4 partitions"):
                    await declaring
            else:
                await declaring
        finally:
            await app.producer.stop()


@pytest.mark.chaos  # the broker may take several tries
async def test_streams_that_are_bound_in_the_wrong_order_are_bound_again(broker: str) -> None:
    app = app_of(broker, "first")
    app.producer_only = True
    await app.producer.start()
    await app.topic("facts", partitions=4).declare()
    await app.producer.stop()
    connection = await aio_pika.connect(amqp_url(broker))
    async with connection:
        channel = await connection.channel()
        queue = await channel.get_queue("facts.0001")
        await queue.unbind("facts", "1")  # as if the broker had restarted: 0, 2, 3, 1
        await queue.bind("facts", "1")
        app = app_of(broker)
        got: dict[bytes, int] = {}

        @app.agent(app.topic("facts", key_type=bytes, value_type=bytes, config={ROUTED: True}))
        async def read(stream: faust.StreamT[Any]) -> None:
            async for event in stream.events():
                got[event.key] = event.message.partition

        keys = [f"key-{n}".encode() for n in range(20)]
        facts = await channel.get_exchange("facts")

        async def are_in_order() -> bool:
            got.clear()
            for key in keys:
                await facts.publish(aio_pika.Message(b""), key.decode())
            await eventually(lambda: len(got) == len(keys), "all have come")
            return got == {key: broker_partition(key, 4) for key in keys}

        async with running(app):
            await eventually(are_in_order, "keys are where they belong")
