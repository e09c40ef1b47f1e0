"""The query server: takes queries from a module's queue, has them answered, replies."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Awaitable, Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

from datapunk.actor import Rejected
from datapunk.broker.channel import Channel
from datapunk.broker.dead_letter import bury, count_unreadable
from datapunk.broker.deliveries import Delivery
from datapunk.broker.direct_replies import DirectReplies
from datapunk.broker.link import Link
from datapunk.broker.properties import Properties
from datapunk.broker.replies import Replies, content_type_for, failed, reply_to
from datapunk.broker.topology import query_queue
from datapunk.errors import (
    BrokerError,
    DatapunkError,
    InvalidEnvelope,
    MessageError,
    OversizedMessage,
    TooManyWaiting,
    UnknownMessageType,
)
from datapunk.messages.compression import decompressed
from datapunk.messages.envelope import read_envelope
from datapunk.messages.message import Answer, Message, Query
from datapunk.messages.outcome import Outcome, Status
from datapunk.messages.registry import Registry
from datapunk.module import Module
from datapunk.resting import rest
from datapunk.settings import Settings
from datapunk.telemetry import metrics, traces
from datapunk.telemetry.logs import get_logger

CONCURRENT = 16  # queries under way a process and module, besides those that only wait for a position
WAITING = 64  # queries that wait for a position
CONSUMER = "queries"
RETRY_S = 1.0  # pause before the broker is tried again

log = get_logger(__name__)

Answering = Callable[..., Awaitable[Answer]]


@dataclass(frozen=True, slots=True)
class Reply:
    """What goes back: an answer, or an outcome that says why there's none (`code` is "ok" for an answer)."""

    type: str
    fingerprint: str
    body: bytes
    code: str = "ok"
    message: str = ""
    is_failure: bool = False


@dataclass(slots=True)
class _Taken:
    """A query that the broker counts as under way here until it's settled."""

    delivery: Delivery
    intake: Channel
    is_settled: bool = False

    def settle(self) -> None:
        """Let the broker forget it, once; one that can't be read becomes a dead letter."""
        if self.is_settled:
            return
        self.is_settled = True
        if self.delivery.unreadable:
            self.intake.nack(self.delivery.delivery_tag, requeue=False)
        else:
            self.intake.ack(self.delivery.delivery_tag)


class QueryServer:
    """Serves one module's queries.

    Args:
        module: whose.
        registry: encodes and decodes.
        settings: the broker, how long a query may take, how large a message may be.
        answer: called as `answer(query, tenant=…, after=…, timeout_s=…, waiting=…)`; while it only waits, it's inside
            `with waiting():`, which raises `TooManyWaiting`.
    """

    def __init__(self, module: Module, registry: Registry, settings: Settings, answer: Answering) -> None:
        self._module = module
        self._registry = registry
        self._settings = settings
        self._answer = answer
        self._direct = DirectReplies(settings.broker_url, f"{module.name}.queries")
        self._waiting = 0
        self._types = {handler.query.message_type for handler in module.queries}

    async def run(self, stop: asyncio.Event) -> None:
        """Serve until told to stop, then let those under way finish; what isn't begun goes back to the queue."""
        async with self._direct:
            await self._sessions(stop)

    async def _sessions(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            try:
                link = await Link.open(self._settings.broker_url, name=f"{self._module.name}.queries")
                try:
                    await self._serve(link, stop)
                finally:
                    await link.close()
            except* (BrokerError, OSError) as group:
                log.warning("query_server_away", module=self._module.name, detail=str(group.exceptions[0]))
                await rest(RETRY_S, stop)

    async def _serve(self, link: Link, stop: asyncio.Event) -> None:
        # Replies aren't confirmed: who misses one asks again. Dead letters are, so they have a channel of their own.
        intake = await link.channel(prefetch=CONCURRENT)
        replies = Replies(intake, self._direct)
        outlet = await link.channel(confirms=True)
        await intake.consume(query_queue(self._module.name), CONSUMER)
        async with asyncio.TaskGroup() as under_way:
            taking = under_way.create_task(self._take(intake, replies, outlet, under_way))
            await stop.wait()
            await intake.cancel(CONSUMER)
            taking.cancel()

    async def _take(self, intake: Channel, replies: Replies, outlet: Channel, under_way: asyncio.TaskGroup) -> None:
        """Start each query as it comes; that no more than `CONCURRENT` are under way is the prefetch's work."""
        while True:
            for delivery in await intake.take(CONCURRENT, 0.0):
                under_way.create_task(self._handle(delivery, intake, replies, outlet))

    async def _handle(self, delivery: Delivery, intake: Channel, replies: Replies, outlet: Channel) -> None:
        if delivery.unreadable:  # the broker keeps it: what can't be read can't be answered or published
            count_unreadable(self._module.name, delivery)
            intake.nack(delivery.delivery_tag, requeue=False)
            return
        clock = asyncio.get_running_loop().time
        began = clock()
        taken = _Taken(delivery, intake)
        reply = await self._reply(taken)
        properties = delivery.properties
        if properties.reply_to:
            replies.send(properties.reply_to, reply_to(properties, reply.type, reply.fingerprint), reply.body)
            replies.flush()
        elif reply.is_failure:  # nobody waits to hear what is wrong with it
            queue = query_queue(self._module.name)
            bury(outlet, delivery, module=self._module.name, reason=reply.code, message=reply.message, queue=queue)
            await outlet.confirmed(outlet.flush())
        taken.settle()
        service = f"{self._module.name}.queries"
        if reply.is_failure:
            metrics.ERRORS.labels(service=service, error_type=reply.code).inc()
        metrics.REQUEST_DURATION.labels(
            service=service,
            endpoint=properties.type if properties.type in self._types else "unknown",
            status=reply.code,
        ).observe(clock() - began)

    @contextmanager
    def _leave_its_place(self, taken: _Taken) -> Generator[None]:
        """Let the broker send another query, while this one waits.

        Raises:
            TooManyWaiting: if it may not.
        """
        if self._waiting >= WAITING:
            raise TooManyWaiting(
                f"{WAITING} queries of {self._module.name} wait for a position here already; is a projection paused "
                "or far behind? (`datapunk projections list`)"
            )
        self._waiting += 1
        taken.settle()
        try:
            yield
        finally:
            self._waiting -= 1

    async def _reply(self, taken: _Taken) -> Reply:
        """Whatever comes of it, there's a reply."""
        properties = taken.delivery.properties
        content_type = content_type_for(properties.content_type)
        try:
            with traces.span(
                f"answer {properties.type}", traces.traceparent_of(properties.headers), kind=traces.SERVER
            ):
                answer = await self._ask(taken)
            reply = self._encoded(answer, content_type)
            if len(reply.body) > self._settings.max_message_bytes:
                raise OversizedMessage(
                    f"the answer has {len(reply.body):,} bytes, and {self._settings.max_message_bytes:,} are the "
                    "limit; ask for less"
                )
        except Rejected as rejection:
            return self._rejected(rejection, content_type)
        except DatapunkError as error:
            return self._failed(error.code, str(error), content_type)
        except Exception as error:
            return self._broken(properties, error, content_type)
        return reply

    async def _ask(self, taken: _Taken) -> Answer:
        delivery = taken.delivery
        properties = delivery.properties
        envelope = read_envelope(properties, needs_actor=False, default_tenant=self._settings.default_tenant)
        headers = properties.headers or {}
        after = _whole_number(headers, "after-position", least=0)
        timeout_ms = _whole_number(headers, "timeout-ms", least=1)
        if not envelope.reply_to:
            raise InvalidEnvelope("the property `reply_to` is missing: it names the queue for the answer")
        if len(delivery.body) > self._settings.max_message_bytes:
            raise OversizedMessage(
                f"the body has {len(delivery.body):,} bytes, and {self._settings.max_message_bytes:,} are the limit"
            )
        body = decompressed(delivery.body, properties.content_encoding, self._settings.max_message_bytes)
        query = self._registry.decode(envelope.type, body, envelope.content_type, envelope.schema)
        if not isinstance(query, Query):
            raise UnknownMessageType(f"{envelope.type} is not a query; {self._module.name} answers {self._listed()}")
        most_s = self._settings.query_timeout_s
        return await self._answer(
            query,
            tenant=envelope.tenant,
            after=after,
            timeout_s=most_s if timeout_ms is None else min(timeout_ms / 1000, most_s),
            waiting=partial(self._leave_its_place, taken),
        )

    def _listed(self) -> str:
        return ", ".join(sorted(self._types)) or "none"

    def _rejected(self, rejection: Rejected, content_type: str) -> Reply:
        outcome = Outcome(
            status=Status.Rejected,
            code=rejection.code,
            message=rejection.message,
            details=rejection.details,
        )
        try:
            return self._encoded(outcome, content_type, rejection.code, rejection.message)
        except MessageError as error:  # its message or details are no text
            return self._failed("query_failed", f"the rejection can't be sent: {error}", content_type)

    def _broken(self, properties: Properties, error: Exception, content_type: str) -> Reply:
        log.error("query_failed", type=properties.type, trace=traceback.format_exc())
        return self._failed("query_failed", f"{type(error).__name__}: {error}", content_type)

    def _failed(self, code: str, message: str, content_type: str) -> Reply:
        outcome = failed(code, message)
        return self._encoded(outcome, content_type, code, outcome.message, is_failure=True)

    def _encoded(
        self, message: Message, content_type: str, code: str = "ok", text: str = "", *, is_failure: bool = False
    ) -> Reply:
        body = self._registry.encode(message, content_type)
        fingerprint = self._registry.fingerprint(type(message))
        return Reply(message.message_type, fingerprint, body, code, text, is_failure)


def _whole_number(headers: Mapping[str, Any], name: str, *, least: int) -> int | None:
    value = headers.get(name)
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise InvalidEnvelope(f"the header `{name}` must be a whole number from {least}, not {value!r}")
    return value
