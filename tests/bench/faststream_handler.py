"""FastStream's natural handler: a pydantic model, one insert, one publish; a pool of connections.

A contestant of `test_end_to_end.py`. As its documentation writes it: the message is acknowledged once the handler
has returned, publishes are confirmed, queues are quorum queues, messages persistent.
"""

from __future__ import annotations

import asyncio
import time
from uuid import uuid4

import aio_pika
import uvloop
from faststream.rabbit import Channel, ExchangeType, QueueType, RabbitBroker, RabbitExchange, RabbitQueue
from psycopg_pool import AsyncConnectionPool
from pydantic import BaseModel

from datapunk.settings import load_settings
from tests.bench.contest import ACTORS, BODY, EVENTS_QUEUE, EVENTS_TABLE, INSERT_EVENT, show, wanted

QUEUE = "bench.commands"
POOL, PREFETCH, IN_FLIGHT = 8, 200, 500


class Trip(BaseModel):
    """The command, and the event."""

    trip: str
    carrier: str
    origin: str
    dest: str
    delay: float
    distance: int
    cancelled: bool
    tail: dict[str, str] | None


async def fill(broker_url: str, commands: int) -> None:
    """Put commands into the queue, and a durable subscriber on the events."""
    connection = await aio_pika.connect(broker_url)
    async with connection:
        channel = await connection.channel()
        await channel.declare_queue(QUEUE, durable=True, arguments={"x-queue-type": "quorum"})
        exchange = await channel.declare_exchange("trips.events", "topic", durable=True)
        events = await channel.declare_queue(EVENTS_QUEUE, durable=True, arguments={"x-queue-type": "quorum"})
        await events.bind(exchange, "#")
        limit = asyncio.Semaphore(IN_FLIGHT)

        async def publish(number: int) -> None:
            async with limit:
                message = aio_pika.Message(
                    BODY,
                    delivery_mode=2,
                    content_type="application/json",
                    message_id=str(uuid4()),
                    headers={"actor-id": f"a{number % ACTORS}"},
                )
                await channel.default_exchange.publish(message, QUEUE)

        await asyncio.gather(*map(publish, range(commands)))


async def measure(commands: int) -> float:
    """Seconds from the start of the broker to the return of the last handler."""
    settings = load_settings()
    await fill(settings.broker_url, commands)
    pool = AsyncConnectionPool(settings.database_url, min_size=POOL, max_size=POOL, open=False)
    await pool.open(wait=True)
    async with pool.connection() as conn:
        await conn.execute(EVENTS_TABLE)
    broker = RabbitBroker(settings.broker_url, default_channel=Channel(prefetch_count=PREFETCH), logger=None)
    exchange = RabbitExchange("trips.events", type=ExchangeType.TOPIC, durable=True)
    handled, done = 0, asyncio.Event()

    @broker.subscriber(RabbitQueue(QUEUE, durable=True, queue_type=QueueType.QUORUM))
    async def handle(trip: Trip) -> None:
        nonlocal handled
        async with pool.connection() as conn:
            await conn.execute(INSERT_EVENT, (trip.carrier, "TripRecorded", uuid4(), trip.model_dump_json()))
        await broker.publish(trip, exchange=exchange, routing_key="default.trips.aircraft.TripRecorded", persist=True)
        handled += 1
        if handled == commands:
            done.set()

    began = time.perf_counter()
    await broker.start()
    await done.wait()
    took_s = time.perf_counter() - began
    await broker.stop()
    await pool.close()
    return took_s


if __name__ == "__main__":
    show(uvloop.run(measure(wanted())))
