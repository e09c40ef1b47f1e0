"""Replies to `amq.rabbitmq.reply-to.…`, the broker's own pseudo-queues, over a link that nothing else hangs on.

Such a name holds an Erlang process, and RabbitMQ up to 4.0 closes the connection that publishes to one it can't
read, whose node isn't in the cluster, or that its version of Erlang finds too large. Names come from strangers, and
nothing in them tells for sure, so each is tried: with nothing written behind it until the broker has confirmed it.
A name that was harmless once may share a write with others; one that broke the link is left alone for a while.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from types import TracebackType
from typing import Self, TypeVar

from datapunk.broker.channel import Channel
from datapunk.broker.link import Link
from datapunk.broker.properties import Properties
from datapunk.ending import end
from datapunk.errors import BrokerError, ReplyLost, ReplyUnroutable
from datapunk.telemetry import metrics
from datapunk.telemetry.logs import get_logger

PREFIX = "amq.rabbitmq.reply-to."
HARMLESS = BARRED = 10_000  # names remembered
BARRED_S = 60.0  # a harmless one may have been under way when the broker went down
LANE_BYTES = 16 * 1024 * 1024  # replies that wait for the broker; what comes on top is lost
REPLY_BYTES = 1024  # what a waiting reply takes besides its body
RETRY_FIRST_S, RETRY_MOST_S = 0.05, 1.0  # pauses after the link broke; the first again once something went through
CLOSE_TIMEOUT_S = 5.0  # for what still waits when told to stop

log = get_logger(__name__)

V = TypeVar("V")


class DirectReplies:
    """Sends replies to the broker's pseudo-queues. Use it as `async with`.

    Best effort, as the broker itself treats them: who misses one asks again. Nothing here waits for the broker, or
    raises because of it. The link is opened when the first reply comes.

    Args:
        url: of the broker.
        service: whose replies; names the link, and labels the metrics.
    """

    def __init__(self, url: str, service: str) -> None:
        self._url = url
        self._service = service
        self._name = f"{service}.replies"
        self._tried = _Lane()
        self._untried = _Lane()
        self._harmless: dict[str, None] = {}
        self._barred: dict[str, float] = {}
        self._link: Link | None = None
        self._channel: Channel | None = None
        self._arrival = asyncio.Event()
        self._idle = asyncio.Event()
        self._sending: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._idle.set()
        self._sending = asyncio.create_task(self._send_all(), name=self._name)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                await self._idle.wait()
        except TimeoutError:
            log.warning("replies_lost", connection=self._name, detail="the broker didn't take them in time")
        finally:
            if self._sending is not None:
                await end({self._sending})
            await self._close()

    def send(self, reply_to: str, properties: Properties, body: bytes) -> None:
        """Have a reply sent as soon as may be.

        Args:
            reply_to: a name that begins with `PREFIX`.
            properties: of the reply.
            body: of the reply.
        """
        if self._is_barred(reply_to):
            self._lose(reply_to, ReplyUnroutable.code, "the broker closed the connection that replied there last")
            return
        lane = self._tried if reply_to in self._harmless else self._untried
        if lane.size > LANE_BYTES:
            self._lose(reply_to, ReplyLost.code, "too many wait for the broker")
            return
        lane.append(_Reply(reply_to, properties, body))
        self._idle.clear()
        self._arrival.set()

    async def _send_all(self) -> None:
        pause = RETRY_FIRST_S
        while True:
            await self._arrival.wait()
            try:
                channel = await self._open()
                await self._send_tried(channel)
                await self._try_next(channel)
                pause = RETRY_FIRST_S
            except (BrokerError, OSError) as error:
                log.warning("replies_away", connection=self._name, retry_in_s=pause, detail=str(error))
                await self._close()
                await asyncio.sleep(pause)
                pause = min(pause * 2, RETRY_MOST_S)
            if not self._tried.replies and not self._untried.replies:
                self._arrival.clear()
                self._idle.set()

    async def _send_tried(self, channel: Channel) -> None:
        """All of them in one write. If one does harm now, as its node left, each is tried on its own."""
        replies = self._tried.take()
        if not replies:
            return
        try:
            for reply in replies:
                channel.publish("", reply.to, reply.properties, reply.body)
            await channel.confirmed(channel.flush())
        except BrokerError:
            self._harmless.clear()
            self._untried.put_back(replies)
            raise

    async def _try_next(self, channel: Channel) -> None:
        """One of those that may break the link."""
        if not self._untried.replies:
            return
        reply = self._untried.popleft()
        if self._is_barred(reply.to):
            self._lose(reply.to, ReplyUnroutable.code, "the broker closed the connection that replied there last")
            return
        # Never mandatory: the broker would return what goes to its own pseudo-queues, though it delivers it.
        channel.publish("", reply.to, reply.properties, reply.body)
        try:
            tag = channel.flush()
        except BrokerError:  # it was gone before
            self._untried.put_back([reply])
            raise
        try:
            await channel.confirmed(tag)
        except BrokerError as error:
            _remember(self._barred, reply.to, asyncio.get_running_loop().time() + BARRED_S, BARRED)
            self._lose(reply.to, ReplyUnroutable.code, str(error))
            raise
        _remember(self._harmless, reply.to, None, HARMLESS)

    def _is_barred(self, reply_to: str) -> bool:
        return self._barred.get(reply_to, 0.0) > asyncio.get_running_loop().time()

    def _lose(self, reply_to: str, code: str, why: str) -> None:
        metrics.ERRORS.labels(service=self._service, error_type=code).inc()
        log.warning("reply_lost", connection=self._name, reply_to=reply_to, reason=code, detail=why)

    async def _open(self) -> Channel:
        if self._link is not None and self._link.closed.done():
            await self._close()
        if self._link is None or self._channel is None:
            self._link = await Link.open(self._url, name=self._name)
            self._channel = await self._link.channel(confirms=True)
        return self._channel

    async def _close(self) -> None:
        link, self._link, self._channel = self._link, None, None
        if link is not None:
            await link.close()


@dataclass(frozen=True, slots=True)
class _Reply:
    to: str
    properties: Properties
    body: bytes


class _Lane:
    """Replies that wait, and about how much memory they take."""

    def __init__(self) -> None:
        self.replies: deque[_Reply] = deque()
        self.size = 0

    def append(self, reply: _Reply) -> None:
        self.replies.append(reply)
        self.size += len(reply.body) + REPLY_BYTES

    def popleft(self) -> _Reply:
        reply = self.replies.popleft()
        self.size -= len(reply.body) + REPLY_BYTES
        return reply

    def take(self) -> list[_Reply]:
        taken = list(self.replies)
        self.replies.clear()
        self.size = 0
        return taken

    def put_back(self, replies: Iterable[_Reply]) -> None:
        for reply in reversed(list(replies)):
            self.replies.appendleft(reply)
            self.size += len(reply.body) + REPLY_BYTES


def _remember(memory: dict[str, V], name: str, value: V, most: int) -> None:
    """The latest ones."""
    memory.pop(name, None)
    memory[name] = value
    if len(memory) > most:
        del memory[next(iter(memory))]
