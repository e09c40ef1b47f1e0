"""A bare AMQP client for tests: sends whatever it's told to, right or wrong, and sees what comes back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage

from datapunk.messages.outcome import Outcome
from datapunk.messages.registry import Registry
from datapunk.settings import Settings

PATIENCE_S = 60.0


class RawClient:
    """Made by `raw_client`."""

    def __init__(
        self, channel: AbstractChannel, replies: asyncio.Queue[AbstractIncomingMessage], reply_to: str
    ) -> None:
        self.channel = channel
        self.replies = replies
        self.reply_to = reply_to

    async def publish(
        self,
        exchange: str,
        routing_key: str,
        body: bytes,
        *,
        message_id: str | None = None,
        headers: dict[str, Any] | None = None,
        content_type: str | None = "application/avro+json",
        content_encoding: str | None = None,
        type: str | None = None,
        reply_to: str | None = "",
        timestamp: datetime | None = None,
        correlation_id: str | None = None,
        expiration_s: float | None = None,
    ) -> str:
        """Send one message; returns its id. A `reply_to` of "" means our own queue."""
        id = str(uuid4()) if message_id is None else message_id
        target = await self.channel.get_exchange(exchange, ensure=False)
        await target.publish(
            aio_pika.Message(
                body,
                message_id=id,
                type=routing_key if type is None else type,
                content_type=content_type,
                content_encoding=content_encoding,
                headers=headers,
                reply_to=self.reply_to if reply_to == "" else reply_to,
                timestamp=timestamp,
                correlation_id=correlation_id,
                expiration=expiration_s,
                delivery_mode=2,
            ),
            routing_key,
            mandatory=False,
        )
        return id

    async def deposit(
        self,
        account: str,
        cents: int,
        *,
        message_id: str | None = None,
        body: bytes | None = None,
        tenant: str | None = None,
    ) -> str:
        """A correct command, unless told otherwise."""
        return await self.publish(
            "accounts.commands",
            "accounts.Deposit",
            body if body is not None else b'{"cents":%d}' % cents,
            message_id=message_id,
            headers={"actor-id": account} | ({"tenant": tenant} if tenant else {}),
            timestamp=datetime.now(UTC),
        )

    async def outcome(self, registry: Registry) -> Outcome:
        """The next reply."""
        message = await asyncio.wait_for(self.replies.get(), PATIENCE_S)
        outcome = registry.decode(message.type or "", message.body, message.content_type, None)
        assert isinstance(outcome, Outcome)
        return outcome

    async def dead_letter(self, module: str = "accounts") -> AbstractIncomingMessage:
        """The next dead letter of a module, taken off its queue."""
        queue = await self.channel.get_queue(f"{module}.dead", ensure=False)
        until = asyncio.get_running_loop().time() + PATIENCE_S
        while True:
            message = await queue.get(no_ack=True, fail=False)
            if message is not None:
                return message
            assert asyncio.get_running_loop().time() < until, "no dead letter came"
            await asyncio.sleep(0.02)

    async def follow(self, module: str) -> asyncio.Queue[AbstractIncomingMessage]:
        """A durable subscription to all of a module's events."""
        events: asyncio.Queue[AbstractIncomingMessage] = asyncio.Queue()
        queue = await self.channel.declare_queue(f"follow.{uuid4()}", durable=True)
        await queue.bind(f"{module}.events", "#")
        await queue.consume(events.put, no_ack=True)
        return events


@asynccontextmanager
async def raw_client(settings: Settings) -> AsyncIterator[RawClient]:
    """Connect, with a queue for replies."""
    connection = await aio_pika.connect(settings.broker_url)
    async with connection:
        channel = await connection.channel()
        replies: asyncio.Queue[AbstractIncomingMessage] = asyncio.Queue()
        queue = await channel.declare_queue(exclusive=True)
        await queue.consume(replies.put, no_ack=True)
        yield RawClient(channel, replies, queue.name)
