"""The broker restarts under a Faust app: nothing is lost or counted twice, and keys are where they belong again."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any
from urllib.parse import quote, urlsplit

import aio_pika
import faust
import pytest
from aio_pika.exceptions import AMQPError
from faust_rabbitmq import ROUTED
from faust_rabbitmq.broker_hash import broker_partition

from tests.own_stack import Place
from tests.working import eventually

PARTITIONS = 8
KEYS = [f"key-{n}" for n in range(60)]


@pytest.mark.servers
@pytest.mark.chaos  # has servers of its own for half a minute
async def test_a_broker_restarts_under_a_faust_app(place: Place) -> None:
    record = await asyncio.to_thread(place.start, "rabbitmq", "postgres")
    amqp, stream = record.endpoints["DATAPUNK_BROKER_URL"], urlsplit(record.endpoints["DATAPUNK_BROKER_STREAM_URL"])
    database = quote(urlsplit(record.endpoints["DATAPUNK_DATABASE_URL"])._replace(path="/postgres").geturl(), safe="")
    app = faust.App(
        "restart",
        broker=f"rabbitmq://{amqp.partition('://')[2]}?stream_port={stream.port}&database={database}",
        store="memory://",
        web_enabled=False,
        topic_partitions=PARTITIONS,
    )
    # The first exchange by name is the one that is bound out of order.
    topic = app.topic("a", key_type=bytes, value_serializer="raw", config={ROUTED: True})
    counts = app.Table("counts", default=int, key_type=str, value_type=int)
    where: dict[str, int] = {}
    handled = 0

    @app.agent(topic)
    async def count(events: faust.StreamT[Any]) -> None:
        nonlocal handled
        async for event in events.events():
            key = event.key.decode()
            counts[key] += 1
            where[key] = event.message.partition
            handled += 1

    sent: Counter[str] = Counter()

    async def send(n: int) -> None:
        for key in (KEYS[i % len(KEYS)] for i in range(n)):
            await topic.send(key=key.encode(), value=b"")
            sent[key] += 1

    def restart() -> None:
        place.rabbitmqctl("stop_app")
        place.rabbitmqctl("start_app")

    async def are_in_order() -> bool:
        where.clear()
        try:
            connection = await aio_pika.connect(amqp)
            async with connection:
                exchange = await (await connection.channel()).get_exchange("a")
                for key in KEYS:
                    await exchange.publish(aio_pika.Message(b""), key)
        except (AMQPError, OSError):
            return False  # it isn't back yet

        async def have_come() -> bool:
            return len(where) == len(KEYS)

        await eventually(have_come, "what was routed has come")
        return where == {key: broker_partition(key.encode(), PARTITIONS) for key in KEYS}

    await app.start()
    try:
        await send(500)
        restarting = asyncio.create_task(asyncio.to_thread(restart))
        while not restarting.done():
            await send(10)
            await asyncio.sleep(0.05)
        await restarting
        await send(500)

        async def is_all_handled() -> bool:
            return handled >= sent.total()

        await eventually(is_all_handled, "all is handled")
        assert dict(counts.items()) == sent
        await eventually(are_in_order, "keys are where they belong")
    finally:
        await app.stop()
