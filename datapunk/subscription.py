"""Following events over the broker: how `Client.subscribe` does it, and what it gives."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from time import monotonic
from typing import Any
from uuid import uuid4

import psycopg
from aio_pika.abc import AbstractRobustConnection
from aio_pika.exceptions import AMQPError, ChannelNotFoundEntity
from aiormq.exceptions import ChannelInvalidStateError

from datapunk.errors import BrokerError, ConnectionLost
from datapunk.messages.codec import AVRO_JSON
from datapunk.messages.message import Event
from datapunk.messages.registry import Registry
from datapunk.settings import Settings
from datapunk.store.connection import connect
from datapunk.telemetry.logs import get_logger

AGAIN_S = 30.0  # before a schema that couldn't be learned is looked for again
LIMIT = 10_000  # events waiting for a subscriber; older ones go when it's slower than that

log = get_logger(__name__)

BROKER_AWAY = (AMQPError, OSError, ChannelInvalidStateError, RuntimeError)


@dataclass(frozen=True, slots=True)
class ReceivedEvent:
    """An event as it came from the broker.

    Attributes:
        type: its message type.
        id: the same whenever it's delivered again.
        routing_key: tenant, module, kind of actor, name.
        headers: all of them; `position` and `version` are numbers.
        at: when it was committed, to the second.
        body: in the encoding that `content_type` names.
    """

    type: str
    id: str
    routing_key: str
    headers: dict[str, Any]
    at: datetime | None
    content_type: str
    body: bytes
    registry: Registry

    @property
    def event(self) -> Event:
        """The event itself, decoded now.

        Raises:
            MessageError: if this process doesn't know its type or schema.
        """
        message = self.registry.decode(self.type, self.body, self.content_type, self.headers.get("schema"))
        assert isinstance(message, Event)  # the exchange carries nothing else
        return message


class NewSchemas:
    """Learns of schemas that are newer than this process from the database, in which all workers put theirs.

    Args:
        registry: learns them.
        settings: where the database is.
    """

    def __init__(self, registry: Registry, settings: Settings) -> None:
        self.registry = registry
        self._settings = settings
        self._not_before = dict[tuple[str, str], float]()  # schemas that were looked for in vain, or while it was away

    async def look_for(self, type: str, fingerprint: object) -> None:
        """Learn a schema if it's unknown, and if the database tells it."""
        if not isinstance(fingerprint, str) or not self.registry.lacks(type, fingerprint):
            return
        if monotonic() < self._not_before.get((type, fingerprint), 0.0):
            return
        self._not_before[type, fingerprint] = monotonic() + AGAIN_S
        try:
            async with await connect(self._settings.database_url) as conn:
                await self.registry.learn(conn)
        except (psycopg.Error, OSError) as error:
            log.warning("schemas_unreachable", type=type, schema=fingerprint, detail=str(error))


async def follow(
    connection: AbstractRobustConnection, schemas: NewSchemas, pattern: str, module: str
) -> AsyncGenerator[ReceivedEvent]:
    """A module's events from now on, over a channel and a queue of its own; see `Client.subscribe`."""
    exchange = f"{module}.events"
    try:
        await _must_exist(connection, exchange)
        channel = await connection.channel()
        await channel.set_qos(prefetch_count=500)
        queue = await channel.declare_queue(
            f"subscriber.{uuid4()}",
            exclusive=True,
            auto_delete=True,
            arguments={"x-max-length": LIMIT},
        )
        await queue.bind(exchange, pattern)
    except BROKER_AWAY as error:
        raise ConnectionLost(f"can't follow {exchange}: {error}; is the broker up? (`datapunk status`)") from None
    try:
        async with queue.iterator() as messages:
            async for message in messages:
                with suppress(*BROKER_AWAY):  # its queue went with the connection; another one takes its place
                    await message.ack()
                await schemas.look_for(message.type or "", message.headers.get("schema"))
                yield ReceivedEvent(
                    type=message.type or "",
                    id=message.message_id or "",
                    routing_key=message.routing_key or "",
                    headers=dict(message.headers),
                    at=message.timestamp.replace(tzinfo=UTC) if message.timestamp else None,
                    content_type=message.content_type or AVRO_JSON,
                    body=message.body,
                    registry=schemas.registry,
                )
    finally:
        with suppress(*BROKER_AWAY):
            await channel.close()


async def _must_exist(connection: AbstractRobustConnection, exchange: str) -> None:
    """Look for an exchange on a channel apart: a channel doesn't survive that there's none."""
    channel = await connection.channel()
    try:
        await channel.declare_exchange(exchange, passive=True)
    except ChannelNotFoundEntity:
        module = exchange.partition(".")[0]
        raise BrokerError(f"there's no exchange {exchange} yet; `datapunk run {module}` declares it") from None
    finally:
        with suppress(*BROKER_AWAY):
            await channel.close()
