"""Whether a topic's exchange puts keys where Faust looks for them, and mending it if not.

A broker that restarts binds an exchange's streams again in several processes, so some may change places. Only what
other exchanges route here is concerned. A probe for each partition tells; readers skip probes.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import AsyncExitStack
from itertools import count
from typing import Any
from uuid import uuid4

import aio_pika
from aio_pika.abc import AbstractChannel

from faust_rabbitmq.amqp import sections
from faust_rabbitmq.broker_hash import broker_partition
from faust_rabbitmq.record import PROBE_HEADER
from faust_rabbitmq.stream.connections import Connections
from faust_rabbitmq.stream.frames import Offset
from faust_rabbitmq.stream.reader import Reader, chunk_at
from faust_rabbitmq.topic import Topic, stream_of

__all__ = ["mend_order"]

logger = logging.getLogger(__name__)

_WITHIN_S = 30


async def mend_order(channel: AbstractChannel, connections: Connections, name: str, topic: Topic) -> bool:
    """Bind a topic's streams again if they aren't in order; whether they were.

    Args:
        channel: with publisher confirms.
        connections: to read the streams over.
        name: the topic's name.
        topic: what is known of it.

    Raises:
        TimeoutError: the probes didn't arrive.
    """
    if await _order(channel, connections, name, topic) == list(range(topic.partitions)):
        return True
    logger.error("The streams of topic %s were bound in the wrong order, since the broker restarted: mending it", name)
    queues = [await channel.get_queue(stream_of(name, n), ensure=False) for n in range(topic.partitions)]
    for queue in queues[1:]:  # the first stays, so that nothing that comes meanwhile is lost
        await queue.unbind(name, "1")
    for queue in queues[1:]:
        await queue.bind(name, "1")
    return False


async def _order(channel: AbstractChannel, connections: Connections, name: str, topic: Topic) -> list[int]:
    """The partitions in the order of the exchange's buckets."""
    partitions = range(topic.partitions)
    streams = [stream_of(name, partition) for partition in partitions]
    arrived = asyncio.Event()
    id = uuid4().hex
    found: dict[int, int] = {}
    async with AsyncExitStack() as stack:
        readers: list[Reader] = []
        for stream in streams:
            chunk = await chunk_at(connections, stream, Offset.last())
            reader = Reader(connections, stream, arrived)
            reader.seek(chunk.first_offset + len(chunk.messages))
            stack.push_async_callback(reader.stop)
            readers.append(reader)
        exchange = await channel.get_exchange(name, ensure=False)
        for bucket, key in _keys(topic).items():
            headers: dict[str, Any] = {PROBE_HEADER: f"{id}:{bucket}"}
            if topic.key_header:
                headers[topic.key_header] = key
            await exchange.publish(aio_pika.Message(b"", headers=headers, delivery_mode=2), key)
        async with asyncio.timeout(_WITHIN_S):
            while len(found) < topic.partitions:
                arrived.clear()
                for partition, reader in enumerate(readers):
                    for _, _, message in reader.take(1000):
                        if PROBE_HEADER.encode() in message:
                            probe = str(sections(message).application_properties.get(PROBE_HEADER))
                            mine, _, bucket = probe.partition(":")
                            if mine == id:
                                found[int(bucket)] = partition
                if len(found) < topic.partitions and not any(reader.has_some for reader in readers):
                    await arrived.wait()
    return [found[bucket] for bucket in partitions]


def _keys(topic: Topic) -> dict[int, str]:
    """A key for every bucket."""
    keys: dict[int, str] = {}
    for n in count():
        if len(keys) == topic.partitions:
            return keys
        key = f"probe-{n}"
        keys.setdefault(broker_partition(key.encode(), topic.partitions, topic.key_header is not None), key)
    raise AssertionError  # it counts for ever
