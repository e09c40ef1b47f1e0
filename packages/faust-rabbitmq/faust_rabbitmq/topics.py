"""Topics: an exchange that hashes on the key, and a stream for each partition.

How many partitions a topic has, and what its key is, is kept in Postgres, where all workers look it up.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import aio_pika
from aio_pika.abc import AbstractChannel

from faust_rabbitmq.database import Database
from faust_rabbitmq.errors import TopicMismatch
from faust_rabbitmq.exchange_order import mend_order
from faust_rabbitmq.record import MARKER
from faust_rabbitmq.settings import Settings
from faust_rabbitmq.stream.connections import Connections
from faust_rabbitmq.stream.publisher import Publisher
from faust_rabbitmq.topic import Topic, stream_of

__all__ = ["KEY_HEADER", "ROUTED", "Topics"]

KEY_HEADER = "key-header"
"""In a topic's `config`: the header that is the key of what comes from elsewhere; without it, the routing key."""

ROUTED = "routed"
"""In a topic's `config`: whether other exchanges route messages here; `key-header` implies it."""

_MOST_PARTITIONS = 9_999


class Topics:
    """Declares topics, and knows those that were.

    Args:
        settings: where everything is.
        database: where topics are recorded.
        publisher: what begins their streams.
    """

    def __init__(self, settings: Settings, database: Database, publisher: Publisher) -> None:
        self._settings, self._database, self._publisher = settings, database, publisher
        self._known: dict[str, Topic] = {}
        self._declared: set[str] = set()

    def known(self, topic: str) -> Topic | None:
        """What was looked up already."""
        return self._known.get(topic)

    async def find(self, topic: str) -> Topic | None:
        """Look a topic up."""
        found = self._known.get(topic)
        if found is None:
            async with self._database.transaction() as transaction:
                row = await transaction.row("find_topic", virtual_host=self._settings.stream.virtual_host, topic=topic)
            if row is not None:
                found = self._known[topic] = Topic(*row)
        return found

    async def declare(
        self,
        topic: str,
        partitions: int,
        retention_s: float | None = None,
        config: Mapping[str, object] | None = None,
    ) -> Topic:
        """Create a topic, or see that it's as wanted.

        Args:
            topic: its name.
            partitions: how many.
            retention_s: how long messages are kept; None: until `x-max-length-bytes` in `config`, or for ever.
            config: `key-header`, `routed`, and arguments of the streams (`x-max-length-bytes`, …).

        Raises:
            TopicMismatch: it's there, and otherwise.
            ValueError: too many partitions, or a setting that isn't known.
        """
        given = dict(config or {})
        key_header = given.pop(KEY_HEADER, None)
        given.pop(ROUTED, None)
        wanted = Topic(partitions, None if key_header is None else str(key_header))
        if topic in self._declared:
            return self._known[topic]
        if not 0 < partitions <= _MOST_PARTITIONS:
            raise ValueError(f"topic {topic} can't have {partitions} partitions; 1 to {_MOST_PARTITIONS} are possible")
        strange = [name for name in given if not name.startswith("x-")]
        if strange:
            raise ValueError(
                f"topic {topic}: unknown configuration {', '.join(strange)}; see the README of this package"
            )
        arguments: dict[str, Any] = {"x-queue-type": "stream", **given}
        if retention_s is not None:
            arguments["x-max-age"] = f"{max(1, round(retention_s))}s"
        async with self._database.transaction() as transaction:
            # One at a time: a key's partition goes by the order of the exchange's bindings.
            await transaction.run("lock_creation")
            virtual_host = self._settings.stream.virtual_host
            row = await transaction.row("find_topic", virtual_host=virtual_host, topic=topic)
            if row is None:
                await transaction.run("insert_topic", virtual_host=virtual_host, topic=topic, **wanted._asdict())
                found = wanted
            else:
                found = Topic(*row)
                if found.partitions != partitions or (key_header is not None and found.key_header != key_header):
                    raise TopicMismatch(
                        f"topic {topic} has {found.partitions} partitions and its key is {found.key_header or 'the '}"
                        f"{'' if found.key_header else 'routing key'}, which can't change; "
                        f"{partitions} with {wanted.key_header or 'the routing key'} were asked for: name another topic"
                    )
            connection = await aio_pika.connect(self._settings.amqp_url)
            async with connection:
                await self._bind(await connection.channel(), topic, found, arguments)
        for partition in range(found.partitions):
            await self._publisher.mark(stream_of(topic, partition), MARKER)
        self._known[topic] = found
        self._declared.add(topic)
        return found

    async def mend(self, topic: str, connections: Connections) -> bool:
        """See that the exchange of a topic routes keys where they belong, one worker at a time; whether it did.

        Raises:
            TimeoutError: it can't be told.
        """
        found = await self.find(topic)
        if found is None or found.partitions == 1:
            return True
        async with self._database.transaction() as transaction:
            await transaction.run("lock_creation")
            connection = await aio_pika.connect(self._settings.amqp_url)
            async with connection:
                return await mend_order(await connection.channel(), connections, topic, found)

    async def _bind(self, channel: AbstractChannel, name: str, topic: Topic, arguments: dict[str, Any]) -> None:
        hashing: Any = {"hash-header": topic.key_header} if topic.key_header else {}
        exchange = await channel.declare_exchange(name, "x-consistent-hash", durable=True, arguments=hashing)
        for partition in range(topic.partitions):
            queue = await channel.declare_queue(stream_of(name, partition), durable=True, arguments=arguments)
            await queue.bind(exchange, "1")
