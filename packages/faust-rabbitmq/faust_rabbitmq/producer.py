# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# ^ Faust's generics go without arguments.
"""Faust's producer: what an app sends goes straight into the streams, in batches, confirmed and once each."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from itertools import count
from time import time
from typing import TYPE_CHECKING, Any, cast

import mode
from faust.exceptions import ImproperlyConfigured, ProducerSendError
from faust.streams import current_event
from faust.transport import producer as base
from faust.types import TP, FutureMessage, HeadersArg, RecordMetadata
from mode.utils.times import want_seconds

from faust_rabbitmq.broker_hash import broker_partition
from faust_rabbitmq.database import Database
from faust_rabbitmq.errors import FaustRabbitMQError
from faust_rabbitmq.record import Mark, encode
from faust_rabbitmq.stream.publisher import Publisher
from faust_rabbitmq.topic import Topic, stream_of
from faust_rabbitmq.topics import Topics

if TYPE_CHECKING:
    from faust_rabbitmq.consumer import Consumer
    from faust_rabbitmq.settings import Settings

__all__ = ["Producer"]

_UNKNOWN_OFFSET = -1
_MOST_UNFINISHED = 20_000  # messages on their way before whoever causes more has to wait


class _Buffer(base.ProducerBuffer):
    """Faust's buffer of what is to be sent soon; here it's sent at once, and this counts what is on its way."""

    publisher: Publisher | None = None

    @property
    def size(self) -> int:
        """How many messages aren't known to be stored."""
        return 0 if self.publisher is None else self.publisher.unfinished

    async def wait_until_ebb(self) -> None:
        """Wait while too many are on their way."""
        if self.publisher is not None and self.publisher.unfinished > _MOST_UNFINISHED:
            await self.publisher.flush()

    async def flush_atmost(self, max_messages: int | None) -> int:
        """Wait until all are stored."""
        while self.pending.qsize():  # noqa: ASYNC110 - Faust's queue tells nobody
            await asyncio.sleep(0.01)
        if self.publisher is not None:
            await self.publisher.flush()
        return 0


class Producer(base.Producer):
    """Sends to streams."""

    logger = mode.get_logger(__name__)

    def __post_init__(self) -> None:
        """Begin without a connection."""
        self._publisher: Publisher | None = None
        self._database: Database | None = None
        self._topics: Topics | None = None
        self._streams: dict[tuple[str, int], str] = {}
        self._turn = count(random.randrange(1 << 16))  # noqa: S311
        self._is_ready = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.app.in_transaction:
            raise ImproperlyConfigured(
                "processing_guarantee='exactly_once' is Kafka's; with RabbitMQ a table and the offset it was computed "
                "from are committed together anyway: leave it at 'at_least_once'"
            )
        self.buffer = _Buffer(loop=self.loop, beacon=self.beacon)
        self.buffer.app = self.app

    def create_threaded_producer(self) -> Any:
        """Refuse it: writing takes no thread here."""
        raise ImproperlyConfigured("producer_threaded isn't possible with rabbitmq://, where writing never blocks")

    @property
    def topics(self) -> Topics:
        """The topics that are known."""
        if self._topics is None:
            raise FaustRabbitMQError("the producer isn't started yet")
        return self._topics

    async def on_start(self) -> None:
        """Connect."""
        settings: Settings = cast("Any", self.transport).settings
        self._database = Database(settings.database_url)
        await self._database.prepare()
        self._publisher = Publisher(settings.stream, f"{self.app.conf.id} producer")
        self._topics = Topics(settings, self._database, self._publisher)
        cast("_Buffer", self.buffer).publisher = self._publisher
        await super().on_start()
        self._is_ready = True

    async def on_stop(self) -> None:
        """Send what is left, and disconnect."""
        self._is_ready = False
        await super().on_stop()
        if self._publisher is not None:
            await self._publisher.flush()
            await self._publisher.close()
        if self._database is not None:
            await self._database.close()

    async def flush(self) -> None:
        """Wait until the broker has all that was sent."""
        await self.buffer.flush()
        if self._publisher is not None:
            await self._publisher.flush()

    async def send(
        self,
        topic: str,
        key: bytes | None,
        value: bytes | None,
        partition: int | None,
        timestamp: float | None,
        headers: HeadersArg | None,
        *,
        transactional_id: str | None = None,
    ) -> Awaitable[RecordMetadata]:
        """Send; what is returned is done once the broker has it."""
        described = await self._find(topic)
        done: asyncio.Future[RecordMetadata] = asyncio.get_running_loop().create_future()

        def sent(tp: TP, offset: int, error: BaseException | None) -> None:
            if done.done():
                return
            if error is None:
                done.set_result(RecordMetadata(topic, tp.partition, tp, offset, timestamp, 0))
            else:
                done.set_exception(ProducerSendError(f"couldn't send to {topic}: {error}"))

        self._publish(topic, described, key, value, partition, timestamp, headers, sent)
        return done

    async def send_and_wait(
        self,
        topic: str,
        key: bytes | None,
        value: bytes | None,
        partition: int | None,
        timestamp: float | None,
        headers: HeadersArg | None,
        *,
        transactional_id: str | None = None,
    ) -> RecordMetadata:
        """Send, and wait until the broker has it."""
        return await (await self.send(topic, key, value, partition, timestamp, headers))

    def send_soon(self, fut: FutureMessage) -> None:
        """Send at once what a table or an agent wants sent soon."""
        message: Any = fut.message
        channel = message.channel
        topic: str = channel.get_topic_name()
        described = self._topics.known(topic) if self._is_ready and self._topics is not None else None
        if described is None or self.buffer.pending.qsize():  # what was sent before goes before
            super().send_soon(fut)
            return
        sensors = self.app.sensors
        key, value = cast("bytes | None", message.key), cast("bytes | None", message.value)
        state = sensors.on_send_initiated(
            self, topic, message=message, keysize=len(key or b""), valsize=len(value or b"")
        )

        def sent(tp: TP, offset: int, error: BaseException | None) -> None:
            if error is None:
                metadata = RecordMetadata(topic, tp.partition, tp, offset, message.timestamp, 0)
                fut.set_result(metadata)
                if message.callback:
                    message.callback(fut)
                sensors.on_send_completed(self, state, metadata)
            else:
                fut.set_exception(error)
                sensors.on_send_error(self, error, state)

        self._publish(topic, described, key, value, message.partition, message.timestamp, message.headers, sent)

    def _publish(
        self,
        topic: str,
        described: Topic,
        key: bytes | None,
        value: bytes | None,
        partition: int | None,
        timestamp: float | None,
        headers: HeadersArg | None,
        sent: Callable[[TP, int, BaseException | None], None],
    ) -> None:
        if self._publisher is None:
            raise FaustRabbitMQError("the producer isn't started yet")
        if partition is None:
            partition = self._partition(described, key)
        elif not 0 <= partition < described.partitions:
            raise ValueError(f"topic {topic} has {described.partitions} partitions, no partition {partition}")
        tp = TP(topic, partition)
        if self._has_listeners():
            listed: Any = _listed(headers)
            self.app.on_produce_message.send(
                key=key, value=value, partition=partition, timestamp=timestamp, headers=listed
            )
            headers = listed
        mark: Mark | None = None
        stored: Callable[[], int] | None = None
        if topic in self.app.tables.changelog_topics:
            consumer = cast("Consumer | None", cast("Any", self.app)._consumer)
            if consumer is not None:
                mark, stored = consumer.number_write(tp, cast("Any", current_event()))
        message = encode(key, value, _listed(headers) if headers else (), timestamp or time(), mark)
        stream = self._streams.get(tp)
        if stream is None:
            stream = self._streams[tp] = stream_of(topic, partition)
        self._publisher.send(stream, message, partial(_sent, tp, stored, sent))

    def _has_listeners(self) -> bool:
        signal: Any = self.app.on_produce_message
        return bool(signal._receivers or signal._filter_receivers)

    def _partition(self, topic: Topic, key: bytes | None) -> int:
        if self.partitioner is not None:
            every = list(range(topic.partitions))
            return cast("Any", self.partitioner)(key, every, every)
        if key is None:
            return next(self._turn) % topic.partitions
        return broker_partition(key, topic.partitions, topic.key_header is not None)

    async def _find(self, topic: str) -> Topic:
        described = self.topics.known(topic) or await self.topics.find(topic)
        if described is None:
            if not self.app.conf.topic_allow_declare:
                raise ProducerSendError(f"there is no topic {topic}, and topic_allow_declare is off")
            described = await self.topics.declare(topic, self.app.conf.topic_partitions)
        return described

    async def create_topic(
        self,
        topic: str,
        partitions: int,
        replication: int,
        *,
        config: Mapping[str, Any] | None = None,
        timeout: mode.Seconds = 30.0,  # noqa: ASYNC109
        retention: mode.Seconds | None = None,
        compacting: bool | None = None,
        deleting: bool | None = None,
        ensure_created: bool = False,
    ) -> None:
        """Create a topic, unless it's there."""
        if not self.app.conf.topic_allow_declare:
            self.log.warning("Topic creation disabled! Can't create topic %s", topic)
            return
        await self.maybe_start()
        retention_s = want_seconds(retention) if retention is not None and not compacting else None
        await self.topics.declare(topic, partitions, retention_s or None, config)

    def key_partition(self, topic: str, key: bytes) -> TP:
        """Where a key is."""
        described = self.topics.known(topic)
        if described is None:
            raise FaustRabbitMQError(f"nothing is known of topic {topic} yet; send to it, or read it, before")
        return TP(topic, self._partition(described, key))

    def supports_headers(self) -> bool:
        """They are."""
        return True


def _sent(
    tp: TP,
    stored: Callable[[], int] | None,
    tell: Callable[[TP, int, BaseException | None], None],
    error: BaseException | None,
) -> None:
    offset = _UNKNOWN_OFFSET
    if stored is not None and error is None:
        offset = stored()
    tell(tp, offset, error)


def _listed(headers: HeadersArg | None) -> list[tuple[str, bytes]]:
    if headers is None:
        return []
    pairs = headers.items() if isinstance(headers, Mapping) else headers
    return [(name, _text(text)) for name, text in pairs]


def _text(value: object) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode()
