"""The query server: takes queries from a module's queue, has them answered, replies."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Awaitable, Callable
from typing import Any

import aio_pika
from aio_pika.abc import AbstractIncomingMessage
from aio_pika.exceptions import AMQPError

from datapunk.actor import Rejected
from datapunk.broker.properties import Properties
from datapunk.errors import DatapunkError, MessageError
from datapunk.messages.codec import AVRO_BINARY, AVRO_JSON
from datapunk.messages.envelope import Envelope, read_envelope
from datapunk.messages.message import Answer, Message, Query
from datapunk.messages.outcome import Outcome, Status
from datapunk.messages.registry import Registry
from datapunk.module import Module
from datapunk.settings import Settings
from datapunk.telemetry import metrics
from datapunk.telemetry.logs import get_logger

CONCURRENT = 16  # queries under way a process and module
RETRY_S = 1.0  # pause before the broker is tried again

log = get_logger(__name__)

Answering = Callable[..., Awaitable[Answer]]


class QueryServer:
    """Serves one module's queries.

    Args:
        module: whose.
        registry: encodes and decodes.
        settings: the broker, and how long a query may take.
        answer: called as `answer(query, tenant=…, after=…, timeout_s=…)`.
    """

    def __init__(self, module: Module, registry: Registry, settings: Settings, answer: Answering) -> None:
        self._module = module
        self._registry = registry
        self._settings = settings
        self._answer = answer

    async def run(self, stop: asyncio.Event) -> None:
        """Serve until told to stop, then let those under way finish."""
        while not stop.is_set():
            try:
                connection = await aio_pika.connect_robust(
                    self._settings.broker_url,
                    client_properties={"connection_name": f"{self._module.name}.queries"},
                )
                async with connection:
                    channel = await connection.channel()
                    await channel.set_qos(prefetch_count=CONCURRENT)
                    queue = await channel.get_queue(f"{self._module.name}.queries", ensure=False)
                    under_way: set[asyncio.Task[None]] = set()

                    async def on_query(
                        message: AbstractIncomingMessage,
                        under_way: set[asyncio.Task[None]] = under_way,
                        channel: Any = channel,
                    ) -> None:
                        task = asyncio.create_task(self._serve(message, channel))
                        under_way.add(task)
                        task.add_done_callback(under_way.discard)

                    tag = await queue.consume(on_query)
                    await stop.wait()
                    await queue.cancel(tag)
                    await asyncio.gather(*under_way, return_exceptions=True)
            except (AMQPError, OSError) as error:
                log.warning("query_server_away", module=self._module.name, detail=str(error))
                await asyncio.sleep(RETRY_S)

    async def _serve(self, message: AbstractIncomingMessage, channel: Any) -> None:
        envelope: Envelope | None = None
        timer = metrics.REQUEST_DURATION
        began = asyncio.get_running_loop().time()
        status = "ok"
        try:
            envelope = read_envelope(properties_of(message), needs_actor=False)
            query = self._registry.decode(envelope.type, message.body, envelope.content_type, envelope.schema)
            if not isinstance(query, Query):
                raise MessageError(f"{envelope.type} is not a query")
            reply: Message = await self._answer(
                query,
                tenant=envelope.tenant,
                after=_number(message, "after-position"),
                timeout_s=min((_number(message, "timeout-ms") or 1e9) / 1000, self._settings.query_timeout_s),
            )
        except Rejected as rejection:
            status = rejection.code
            reply = Outcome(
                status=Status.Rejected,
                code=rejection.code,
                message=rejection.message,
                details=rejection.details,
            )
        except DatapunkError as error:
            status = error.code
            reply = Outcome(status=Status.Failed, code=error.code, message=str(error))
        except Exception as error:
            status = "failed"
            log.error("query_failed", type=message.type, trace=traceback.format_exc())
            metrics.ERRORS.labels(service="queries", error_type=type(error).__name__).inc()
            reply = Outcome(status=Status.Failed, code="query_failed", message=f"{type(error).__name__}: {error}")
        try:
            if message.reply_to:
                await self._reply(message, envelope, reply, channel)
            await message.ack()
        except (AMQPError, OSError, RuntimeError) as error:
            log.warning("reply_lost", type=message.type, detail=str(error))  # asked again, it's answered again
        timer.labels(service=f"{self._module.name}.queries", endpoint=message.type or "", status=status).observe(
            asyncio.get_running_loop().time() - began
        )

    async def _reply(
        self, message: AbstractIncomingMessage, envelope: Envelope | None, reply: Message, channel: Any
    ) -> None:
        content_type = AVRO_BINARY if envelope is not None and envelope.content_type == AVRO_BINARY else AVRO_JSON
        assert message.reply_to is not None  # the caller looked
        await channel.default_exchange.publish(
            aio_pika.Message(
                self._registry.encode(reply, content_type),
                content_type=content_type,
                type=reply.message_type,
                correlation_id=message.correlation_id or message.message_id,
                headers={"schema": self._registry.fingerprint(type(reply))},
            ),
            message.reply_to,
            mandatory=False,
        )


def properties_of(message: AbstractIncomingMessage) -> Properties:
    """An aio-pika message's properties as the engine has them."""
    return Properties(
        content_type=message.content_type,
        content_encoding=message.content_encoding,
        headers=dict(message.headers),
        correlation_id=message.correlation_id,
        reply_to=message.reply_to,
        message_id=message.message_id,
        timestamp=message.timestamp,
        type=message.type,
        user_id=message.user_id,
        app_id=message.app_id,
    )


def _number(message: AbstractIncomingMessage, header: str) -> int | None:
    value = message.headers.get(header)
    return value if isinstance(value, int) else None
