"""A client of the platform in Python: sends commands, asks queries, follows events; all over the broker.

async with Client(settings, registry) as client:
    outcome = await client.send(CreateDataset(...), "weather")
    dataset = await client.ask(GetDataset(dataset="weather"), after_position=outcome.position)
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Literal, overload
from uuid import UUID, uuid4

import aio_pika
from aio_pika.abc import AbstractIncomingMessage, AbstractRobustChannel, AbstractRobustConnection
from aio_pika.exceptions import DeliveryError
from uuid_utils.compat import uuid7

from datapunk.broker.dead_letter import DEAD, buried, dead_key
from datapunk.broker.properties import Properties
from datapunk.errors import ConnectionLost, PublishRefused, QueryFailed, ReplyTimeout
from datapunk.messages.codec import AVRO_BINARY, AVRO_JSON
from datapunk.messages.compression import GZIP, WORTHWHILE, compressed
from datapunk.messages.message import Answer, Command, Message, Query
from datapunk.messages.outcome import Outcome
from datapunk.messages.registry import Registry
from datapunk.settings import Settings
from datapunk.subscription import BROKER_AWAY, NewSchemas, ReceivedEvent, follow
from datapunk.telemetry import traces

CONNECT_TIMEOUT_S = 10.0
COMMAND_TIMEOUT_S = 30.0
APP = "datapunk.client"


@dataclass(frozen=True, slots=True)
class Sending:
    """One command of many: see `Client.send_many`."""

    command: Command
    actor_id: str
    message_id: UUID


class Client:
    """Use as an async context manager; it reconnects by itself.

    Args:
        settings: the broker.
        registry: the messages of the modules it speaks to.
        content_type: how messages are encoded; large texts are quicker in Avro binary, which needs no escapes.
    """

    def __init__(self, settings: Settings, registry: Registry, *, content_type: str = AVRO_JSON) -> None:
        self._settings = settings
        self._registry = registry
        self._content_type = content_type
        self._connection: AbstractRobustConnection | None = None
        self._channel: AbstractRobustChannel | None = None
        self._reply_to = f"reply.{uuid4()}"
        self._waiting: dict[str, asyncio.Future[AbstractIncomingMessage]] = {}

    async def __aenter__(self) -> Client:
        try:
            self._connection = await aio_pika.connect_robust(
                self._settings.broker_url,
                timeout=CONNECT_TIMEOUT_S,
                client_properties={"connection_name": "client"},
            )
            self._channel = await self._connection.channel()  # pyright: ignore[reportAttributeAccessIssue]
            assert self._channel is not None  # just opened
            queue = await self._channel.declare_queue(self._reply_to, exclusive=True, auto_delete=True)
            await queue.consume(self._on_reply, no_ack=True)
        except BROKER_AWAY as error:
            raise ConnectionLost(f"no broker answers: {error}; is it up? (`datapunk status`)") from None
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._connection is not None:
            await self._connection.close()
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_exception(ConnectionLost("the client was closed before the reply came"))

    @overload
    async def send(
        self,
        command: Command,
        actor_id: str,
        *,
        tenant: str | None = ...,
        message_id: UUID | None = ...,
        correlation_id: str | None = ...,
        wait: Literal[True] = ...,
        timeout_s: float | None = ...,
    ) -> Outcome: ...
    @overload
    async def send(
        self,
        command: Command,
        actor_id: str,
        *,
        tenant: str | None = ...,
        message_id: UUID | None = ...,
        correlation_id: str | None = ...,
        wait: bool,
        timeout_s: float | None = ...,
    ) -> Outcome | UUID: ...
    async def send(
        self,
        command: Command,
        actor_id: str,
        *,
        tenant: str | None = None,
        message_id: UUID | None = None,
        correlation_id: str | None = None,
        wait: bool = True,
        timeout_s: float | None = None,
    ) -> Outcome | UUID:
        """Send a command.

        Args:
            command: what to do.
            actor_id: whom to ask, as in `weather`.
            tenant: whose data; by default as set.
            message_id: of the command; a retry must have the same.
            correlation_id: to find it again; events and reply carry it.
            wait: whether to wait for the outcome; else only until the broker has the command safely.
            timeout_s: how long to wait.

        Returns:
            The outcome, or the command's id when not waiting.

        Raises:
            ReplyTimeout: if no outcome came in time; the command may still take effect.
            ConnectionLost: if the broker is away.
            PublishRefused: if the broker has no room for it, or no such exchange.
        """
        id = message_id or uuid7()
        module = command.message_type.partition(".")[0]
        headers: dict[str, Any] = {"actor-id": actor_id}
        token = str(uuid7()) if wait else None
        try:
            with traces.span(f"publish {command.message_type}", kind=traces.PRODUCER) as span:
                span.set("messaging.message.id", str(id))
                reply = self._expect_reply(token)
                # Replies have the token: others may wait for the same command. Events have what follows it through.
                await self._publish(
                    f"{module}.commands",
                    command,
                    id,
                    tenant,
                    headers,
                    correlation_id or str(id),
                    token,
                    persistent=True,
                )
            if reply is None:
                return id
            message = await self._wait(reply, timeout_s or COMMAND_TIMEOUT_S, f"command {id}")
        finally:
            self._waiting.pop(token or "", None)
        return self._outcome(message)

    async def bury(
        self, command: Command, actor_id: str, id: UUID, *, reason: str, why: str, tenant: str | None = None
    ) -> None:
        """Put a command among the dead letters instead of sending it: it waits for a person, who edits and redrives it.

        Args:
            command: what they may have done.
            actor_id: by whom.
            id: of the command. Whoever isn't sure that it arrived buries it again: it's one letter.
            reason: a code.
            why: the same for people.
            tenant: whose data; by default as set.

        Raises:
            ConnectionLost: if the broker is away.
            PublishRefused: if it has no room for it.
        """
        module = command.message_type.partition(".")[0]
        body = self._registry.encode(command, AVRO_JSON)
        headers: dict[str, Any] = {  # nothing that differs the next time: not when, nor by which process
            "actor-id": actor_id,
            "tenant": tenant or self._settings.default_tenant,
            "schema": self._registry.fingerprint(type(command)),
        }
        alive = Properties(content_type=AVRO_JSON, headers=headers, message_id=str(id), type=command.message_type)
        letter = aio_pika.Message(
            body,
            content_type=AVRO_JSON,
            delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
            message_id=str(id),
            type=command.message_type,
            app_id=APP,
            headers=buried(
                alive,
                body,
                reason=reason,
                message=why,
                exchange=f"{module}.commands",
                routing_key=command.message_type,
            ),
        )
        await self._hand_over(letter, DEAD, dead_key(module, reason))

    async def send_many(
        self, sendings: Iterable[Sending], *, window: int = 16, tenant: str | None = None
    ) -> AsyncIterator[tuple[Sending, Outcome]]:
        """Send commands, several under way at a time, and yield each with its outcome as it comes.

        Args:
            sendings: the commands; taken one by one as there's room.
            window: most commands under way.
            tenant: whose data; by default as set.

        Raises:
            As `send`.
        """
        under_way: dict[asyncio.Task[Outcome], Sending] = {}
        source = iter(sendings)
        is_exhausted = False
        try:
            while True:
                while not is_exhausted and len(under_way) < window:
                    sending = next(source, None)
                    if sending is None:
                        is_exhausted = True
                        break
                    task = asyncio.create_task(
                        self.send(sending.command, sending.actor_id, tenant=tenant, message_id=sending.message_id)
                    )
                    under_way[task] = sending
                if not under_way:
                    return
                done, _ = await asyncio.wait(under_way, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    yield under_way.pop(task), task.result()
        finally:
            for task in under_way:
                task.cancel()

    async def ask(
        self,
        query: Query,
        *,
        tenant: str | None = None,
        after_position: int | None = None,
        correlation_id: str | None = None,
        timeout_s: float | None = None,
    ) -> Answer:
        """Ask a query.

        Args:
            query: what to know.
            tenant: whose data; by default as set.
            after_position: a position that the answer must reflect, as in an outcome: reads one's own write.
            correlation_id: to find it again in logs and traces.
            timeout_s: how long to wait; by default as set for queries.

        Raises:
            QueryFailed: if it's answered with an error; `error_code` tells which.
            ReplyTimeout: if no answer came in time.
            ConnectionLost: if the broker is away.
        """
        id = uuid7()
        timeout = timeout_s or self._settings.query_timeout_s
        headers: dict[str, Any] = {"timeout-ms": int(timeout * 1000)}
        if after_position is not None:
            headers["after-position"] = after_position
        module = query.message_type.partition(".")[0]
        token = str(id)
        reply = self._expect_reply(token)
        assert reply is not None  # asked for
        try:
            with traces.span(f"ask {query.message_type}", kind=traces.CLIENT):
                await self._publish(
                    f"{module}.queries", query, id, tenant, headers, correlation_id, token, persistent=False
                )
                message = await self._wait(reply, timeout + 0.5, f"query {query.message_type}")
        finally:
            self._waiting.pop(token, None)
        if message.type == Outcome.message_type:
            outcome = self._outcome(message)
            raise QueryFailed(outcome.message, code=outcome.code)
        answer = self._registry.decode(
            message.type or "", message.body, message.content_type, _text(message.headers.get("schema"))
        )
        assert isinstance(answer, Answer)  # what query servers reply with
        return answer

    def subscribe(self, pattern: str, module: str) -> AsyncIterator[ReceivedEvent]:
        """Follow a module's events from now on.

        Args:
            pattern: of the routing key `<tenant>.<module>.<kind>.<Event>`, as in `*.lake.dataset.*` or `#`.
            module: whose events.

        Events of a newer release are read as this one knows them, if the database can be reached: there the newer
        schemas are. After a broken connection it goes on by itself; what was published in between is missing. Where
        nothing may be missed, read the store (`/v1/events`), or bind a durable queue of your own
        (docs/reference/wire.md).

        Raises:
            ConnectionLost: if the broker is away.
            BrokerError: if there's no such module at the broker.
        """
        assert self._connection is not None, "use the client as an async context manager"
        return follow(self._connection, NewSchemas(self._registry, self._settings), pattern, module)

    def _expect_reply(self, token: str | None) -> asyncio.Future[AbstractIncomingMessage] | None:
        if token is None:
            return None
        future = self._waiting[token] = asyncio.get_running_loop().create_future()
        return future

    async def _publish(
        self,
        exchange: str,
        message: Message,
        id: UUID,
        tenant: str | None,
        headers: dict[str, Any],
        correlation_id: str | None,
        token: str | None,
        *,
        persistent: bool,
    ) -> None:
        traces.inject(headers)
        headers["tenant"] = tenant or self._settings.default_tenant
        headers["schema"] = self._registry.fingerprint(type(message))
        if correlation_id:
            headers["correlation-id"] = correlation_id
        body = self._registry.encode(message, self._content_type)
        is_large = len(body) >= WORTHWHILE
        outgoing = aio_pika.Message(
            await asyncio.to_thread(compressed, body) if is_large else body,
            content_type=self._content_type,
            content_encoding=GZIP if is_large else None,
            delivery_mode=aio_pika.DeliveryMode.PERSISTENT if persistent else aio_pika.DeliveryMode.NOT_PERSISTENT,
            message_id=str(id),
            correlation_id=token or correlation_id,
            reply_to=None if token is None else self._reply_to,
            timestamp=datetime.now(UTC),
            type=message.message_type,
            app_id=APP,
            headers=headers,
        )
        await self._hand_over(outgoing, exchange, message.message_type)

    async def _hand_over(self, outgoing: aio_pika.Message, exchange: str, routing_key: str) -> None:
        assert self._channel is not None, "use the client as an async context manager"
        try:
            target = await self._channel.get_exchange(exchange, ensure=False)
            await target.publish(outgoing, routing_key, mandatory=False, timeout=CONNECT_TIMEOUT_S)
        except DeliveryError as error:
            raise PublishRefused(f"the broker refused {outgoing.type}: {error}") from None
        except TimeoutError:
            raise ConnectionLost(
                "the broker doesn't confirm; is it out of memory or disk? (`datapunk status`)"
            ) from None
        except BROKER_AWAY as error:
            raise ConnectionLost(
                f"the broker is away, or has no exchange {exchange} (is "
                f"`datapunk run {(outgoing.type or '').partition('.')[0]}` up?): {error}"
            ) from None

    async def _wait(
        self, reply: asyncio.Future[AbstractIncomingMessage], timeout_s: float, what: str
    ) -> AbstractIncomingMessage:
        try:
            async with asyncio.timeout(timeout_s):
                return await reply
        except TimeoutError:
            raise ReplyTimeout(f"no reply to {what} in {timeout_s:g} s; is somebody running the module?") from None

    def _outcome(self, message: AbstractIncomingMessage) -> Outcome:
        codec = self._registry.codec(Outcome)
        is_binary = message.content_type == AVRO_BINARY
        return codec.decode_binary(message.body) if is_binary else codec.decode_json(message.body)

    async def _on_reply(self, message: AbstractIncomingMessage) -> None:
        waiting = self._waiting.get(message.correlation_id or "")
        if waiting is not None and not waiting.done():
            waiting.set_result(message)


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None
