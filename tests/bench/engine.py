"""Ours: commands consumed → decided → durable → events published with confirms → acknowledged, one process.

A contestant of `test_end_to_end.py`; alone: `python -m tests.bench.engine 20000` with servers in the settings.
"""

from __future__ import annotations

import asyncio
import time
from uuid import uuid4

import uvloop
from pamqp import commands as amqp
from prometheus_client import REGISTRY

from datapunk.broker.link import Link
from datapunk.broker.properties import Properties
from datapunk.settings import Settings, load_settings
from datapunk.worker import Worker, prepare
from tests.bench.contest import ACTORS, BODY, EVENTS_QUEUE, show, wanted
from tests.bench.trips.module import trips

FILL = 500  # commands a write
HANDLED = ("commands_handled_total", {"module": "trips", "type": "trips.RecordTrip", "outcome": "accepted"})


async def fill(settings: Settings, commands: int) -> None:
    """Put commands into the shards, and a durable subscriber on the events, as the peers have."""
    link = await Link.open(settings.broker_url, name="bench.fill")
    channel = await link.channel(confirms=True)
    await channel.ask(amqp.Queue.Declare(queue=EVENTS_QUEUE, durable=True, arguments={"x-queue-type": "quorum"}))
    await channel.ask(amqp.Queue.Bind(queue=EVENTS_QUEUE, exchange="trips.events", routing_key="#"))
    for start in range(0, commands, FILL):
        for number in range(start, min(start + FILL, commands)):
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


async def measure(commands: int) -> float:
    """Seconds from the start of the worker to the last batch's acknowledgement."""
    settings = load_settings()
    await prepare([trips], settings)
    await fill(settings, commands)
    stop, done = asyncio.Event(), asyncio.Event()

    def at(point: str) -> None:
        if point == "before_ack" and (REGISTRY.get_sample_value(*HANDLED) or 0) >= commands:
            done.set()

    began = time.perf_counter()
    running = asyncio.create_task(Worker([trips], settings, at).run(stop))
    await done.wait()
    took_s = time.perf_counter() - began
    stop.set()
    await running
    return took_s


if __name__ == "__main__":
    show(uvloop.run(measure(wanted())))
