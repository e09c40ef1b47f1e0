"""A contestant of `test_faust.py`: events through a filter into a table of counts, by Faust or without it.

Run as `python -m tests.bench.faust_count CONTESTANT EVENTS`. All that was sent is there before the first is counted;
what is shown is events a second of the process's CPU time, and of the clock, until the last is counted and committed.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import Callable, Coroutine
from typing import Any
from urllib.parse import quote, urlsplit

import aio_pika
import faust
import psycopg
import uvloop

from datapunk.settings import load_settings
from tests.bench.contest import BODY, show_rates

KEYS = [f"carrier-{n}".encode() for n in range(1000)]
PARTITIONS = 1
PREFETCH = 1000


class Clock:
    """From the first event to the last."""

    def __init__(self) -> None:
        self.began = self.cpu = 0.0

    def start(self) -> None:
        self.began, self.cpu = time.perf_counter(), time.process_time()

    def show(self, events: int) -> None:
        show_rates(cpu=events / (time.process_time() - self.cpu), clock=events / (time.perf_counter() - self.began))


async def by_transport(events: int) -> None:
    """Our transport, with a table and its changelog."""
    settings = load_settings()
    port = urlsplit(os.environ["DATAPUNK_BROKER_STREAM_URL"]).port
    rest = settings.broker_url.partition("://")[2]
    app = faust.App(
        "bench",
        broker=f"rabbitmq://{rest}?stream_port={port}&database={quote(settings.database_url, safe='')}",
        store="memory://",
        web_enabled=False,
        stream_recovery_delay=0.0,
        stream_buffer_maxsize=4096,
        cython_optimizations=True,
    )
    trips = app.topic("trips", key_type=bytes, partitions=PARTITIONS)
    counts = app.Table("counts", default=int, partitions=PARTITIONS, key_type=bytes, value_type=int)
    clock, left = Clock(), events

    @app.agent(trips)
    async def count(stream: Any) -> None:
        nonlocal left
        async for event in stream.filter(lambda trip: trip["delay"] > 10).events():
            if left == events:
                clock.start()
            counts[event.key] += 1
            left -= 1

    app.producer_only = True
    await app.producer.start()
    await trips.declare()
    for n in range(events):
        await trips.send(key=KEYS[n % len(KEYS)], value=BODY, value_serializer="raw")
        if n % 10_000 == 0:
            await app.producer.flush()
    await app.producer.flush()
    await asyncio.sleep(0.1)  # until all senders know
    app.producer_only = False
    await app.start()
    async with await psycopg.AsyncConnection.connect(settings.database_url, autocommit=True) as connection:
        while True:
            await asyncio.sleep(0.1)
            if left:
                continue
            cursor = await connection.execute("select sum(next_offset - 1) from faust_rabbitmq.offsets")
            row = await cursor.fetchone()
            if row is not None and row[0] == events:
                break
            await app.consumer.commit()
    clock.show(events)
    assert sum(counts.values()) == events
    await app.stop()


async def by_channel(events: int) -> None:
    """Faust alone: a channel in memory, a dict. No broker, no changelog, no commit: a ceiling."""
    app = faust.App("bench", broker="kafka://", store="memory://", web_enabled=False, cython_optimizations=True)
    channel = app.channel(key_type=bytes, maxsize=4096)
    counts: dict[bytes, int] = {}
    clock, left = Clock(), events
    done = asyncio.Event()

    async def count() -> None:
        nonlocal left
        async for event in app.stream(channel).filter(lambda trip: trip["delay"] > 10).events():
            counts[event.key] = counts.get(event.key, 0) + 1
            left -= 1
            if not left:
                done.set()

    app.flow_control.resume()
    counting = asyncio.create_task(count())
    await asyncio.sleep(0)
    clock.start()
    for n in range(events):
        await channel.put(_event(app, channel, KEYS[n % len(KEYS)], n))
    await done.wait()
    clock.show(events)
    counting.cancel()


def _event(app: Any, channel: Any, key: bytes, n: int) -> Any:
    message = faust.types.Message("trips", 0, n, 0.0, 0, None, key, BODY, None, tp=faust.types.TP("trips", 0))
    message.generation_id = app.consumer_generation_id
    return faust.Event(app, key, json.loads(BODY), None, message)


async def by_aio_pika(events: int) -> None:
    """What a user would write: a consumer of a quorum queue and a dict, lost when it ends."""
    connection = await aio_pika.connect(load_settings().broker_url)
    async with connection:
        channel = await connection.channel()
        await channel.set_qos(PREFETCH)
        queue = await channel.declare_queue("trips", durable=True, arguments={"x-queue-type": "quorum"})
        for n in range(0, events, 500):
            sending = (
                channel.default_exchange.publish(
                    aio_pika.Message(BODY, headers={"key": KEYS[m % len(KEYS)].decode()}, delivery_mode=2), "trips"
                )
                for m in range(n, min(n + 500, events))
            )
            await asyncio.gather(*sending)
        counts: dict[Any, int] = {}
        clock = Clock()
        left = events
        async with queue.iterator() as messages:
            async for message in messages:
                if left == events:
                    clock.start()
                trip = json.loads(message.body)
                if trip["delay"] > 10:
                    key = message.headers["key"]
                    counts[key] = counts.get(key, 0) + 1
                await message.ack()
                left -= 1
                if not left:
                    break
        clock.show(events)


CONTESTANTS: dict[str, Callable[[int], Coroutine[Any, Any, None]]] = {
    "our transport": by_transport,
    "Faust in memory": by_channel,
    "aio-pika and a dict": by_aio_pika,
}

if __name__ == "__main__":
    uvloop.run(CONTESTANTS[sys.argv[1]](int(sys.argv[2])))  # as Faust runs with --loop uvloop
