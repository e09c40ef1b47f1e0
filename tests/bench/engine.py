"""Our engine, end to end: commands consumed → decided → durable → events published with confirms → acknowledged.

Run by `tests.bench.run`, or alone: `python -m tests.bench.engine 20000`.
"""

from __future__ import annotations

import asyncio
import sys
import time
from uuid import uuid4

import uvloop
from pamqp import commands as amqp

from datapunk.broker.link import Link
from datapunk.broker.properties import Properties
from datapunk.broker.topology import command_queue
from datapunk.settings import Settings, load_settings
from datapunk.worker import Worker, prepare
from tests.bench.trips.module import trips

BODY = (
    b'{"trip":"t-1","carrier":"UA","origin":"EWR","dest":"IAH","delay":11.5,"distance":1400,'
    b'"cancelled":false,"tail":{"string":"N14228"}}'
)
ACTORS = 1000
EVENTS_QUEUE = "bench.events"


async def fill(settings: Settings, commands: int) -> None:
    """Put commands into the shards, and a durable subscriber on the events, as the peers have."""
    link = await Link.open(settings.broker_url, name="bench.fill")
    channel = await link.channel(confirms=True)
    await channel.ask(amqp.Queue.Declare(queue=EVENTS_QUEUE, durable=True, arguments={"x-queue-type": "quorum"}))
    await channel.ask(amqp.Queue.Purge(queue=EVENTS_QUEUE))
    await channel.ask(amqp.Queue.Bind(queue=EVENTS_QUEUE, exchange="trips.events", routing_key="#"))
    for start in range(0, commands, 500):
        for number in range(start, min(start + 500, commands)):
            channel.publish(
                "trips.commands",
                "trips.RecordTrip",
                Properties(
                    content_type="application/avro+json",
                    delivery_mode=2,
                    message_id=str(uuid4()),
                    type="trips.RecordTrip",
                    headers={"actor-id": f"a{number % ACTORS}"},
                ),
                BODY,
            )
        await channel.confirmed(channel.flush())
    await link.close()


async def left(settings: Settings, shards: int) -> int:
    """Commands not yet acknowledged (ready ones: what is being handled isn't counted by the broker)."""
    link = await Link.open(settings.broker_url, name="bench.count")
    channel = await link.channel()
    total = 0
    for shard in range(shards):
        answer = await channel.ask(amqp.Queue.Declare(queue=command_queue("trips", shard), passive=True))
        total += answer.message_count  # type: ignore[attr-defined]
    await link.close()
    return total


async def measure(commands: int) -> float:
    """Commands a second."""
    settings = load_settings()
    await prepare([trips], settings)
    await fill(settings, commands)
    stop = asyncio.Event()
    handled = 0
    done = asyncio.Event()
    began = 0.0

    def at(point: str) -> None:
        nonlocal began
        if point == "before_commit" and not began:
            began = time.perf_counter()

    worker = Worker([trips], settings, at)
    from datapunk.announcing import Announcer

    original = Announcer.reply

    def reply(self: Announcer, channel: object, committed: list) -> None:  # type: ignore[type-arg]
        nonlocal handled
        original(self, channel, committed)  # type: ignore[arg-type]
        handled += sum(len(batch.decided.replies) for batch in committed)
        if handled >= commands:
            done.set()

    Announcer.reply = reply  # type: ignore[method-assign,assignment]
    running = asyncio.create_task(worker.run(stop))
    start = time.perf_counter()
    await done.wait()
    elapsed = time.perf_counter() - (began or start)
    Announcer.reply = original  # type: ignore[method-assign]
    stop.set()
    await running
    return commands / elapsed


if __name__ == "__main__":
    print(f"{uvloop.run(measure(int(sys.argv[1]) if len(sys.argv) > 1 else 20_000)):,.0f} commands/s")
