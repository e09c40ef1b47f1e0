"""Puts commands into the shards of `trips` as fast as the broker takes them."""

from __future__ import annotations

from uuid import uuid4

from pamqp import commands as amqp

from datapunk.broker.link import Link
from datapunk.broker.properties import Properties
from datapunk.settings import Settings
from tests.bench.contest import ACTORS, BODY, EVENTS_QUEUE

AT_ONCE = 500  # commands a write


async def fill(settings: Settings, commands: int, *, actors: int = ACTORS, first: int = 0) -> None:
    """Put commands into the shards, and a durable subscriber on the events, as the peers have.

    Args:
        settings: the broker, on which the module's exchanges are.
        commands: how many.
        actors: whom they're for, in turns.
        first: whose turn it is.
    """
    link = await Link.open(settings.broker_url, name="bench.fill")
    channel = await link.channel(confirms=True)
    await channel.ask(amqp.Queue.Declare(queue=EVENTS_QUEUE, durable=True, arguments={"x-queue-type": "quorum"}))
    await channel.ask(amqp.Queue.Bind(queue=EVENTS_QUEUE, exchange="trips.events", routing_key="#"))
    for start in range(first, first + commands, AT_ONCE):
        for number in range(start, min(start + AT_ONCE, first + commands)):
            channel.publish(
                "trips.commands",
                "trips.RecordTrip",
                Properties(
                    content_type="application/avro+json",
                    delivery_mode=2,
                    message_id=str(uuid4()),
                    type="trips.RecordTrip",
                    headers={"actor-id": f"a{number % actors}"},
                ),
                BODY,
            )
        await channel.confirmed(channel.flush())
    await link.close()


async def forget_events(settings: Settings) -> None:
    """Empty the subscriber's queue, which nobody reads."""
    link = await Link.open(settings.broker_url, name="bench.forget")
    channel = await link.channel()
    await channel.ask(amqp.Queue.Purge(queue=EVENTS_QUEUE))
    await link.close()
