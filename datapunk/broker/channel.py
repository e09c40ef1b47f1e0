"""One AMQP channel of a link: batches of messages out, with confirms counted; batches of deliveries in."""

from __future__ import annotations

import asyncio
import heapq
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pamqp import base
from pamqp import commands as amqp

from datapunk.broker.frames import ack_frame, nack_frame, publish_frames
from datapunk.broker.properties import Properties
from datapunk.errors import BrokerError, ConnectionLost, PublishRefused

if TYPE_CHECKING:
    from datapunk.broker.link import Link

ANSWER_TIMEOUT_S = 30.0  # for declaring, consuming, cancelling
TAKEN_BYTES = 32 * 1024 * 1024  # bodies in a batch
HELD_BYTES = 64 * 1024 * 1024  # bodies that wait to be taken; prefetch counts messages, whatever their size


class Delivery:
    """A message as it was delivered.

    Attributes:
        unreadable: why its properties can't be read, and so are empty; "" if they can. Such a message can only be
            handed back to the broker, which keeps it as it came.
    """

    __slots__ = (
        "body",
        "consumer_tag",
        "delivery_tag",
        "exchange",
        "properties",
        "redelivered",
        "routing_key",
        "unreadable",
    )

    def __init__(
        self,
        consumer_tag: str,
        delivery_tag: int,
        redelivered: bool,
        exchange: str,
        routing_key: str,
        properties: Properties,
        body: bytes,
        unreadable: str = "",
    ) -> None:
        self.consumer_tag = consumer_tag
        self.delivery_tag = delivery_tag
        self.redelivered = redelivered
        self.exchange = exchange
        self.routing_key = routing_key
        self.properties = properties
        self.body = body
        self.unreadable = unreadable


@dataclass(frozen=True, slots=True)
class Returned:
    """A mandatory message that no queue took."""

    reply_code: int
    reply_text: str
    exchange: str
    routing_key: str
    properties: Properties
    body: bytes


class Channel:
    """Opened by `Link.channel`. All failures of the channel or its connection surface in whatever waits on it.

    Attributes:
        returned: mandatory messages that came back; take them out after `confirmed`.
        last_delivery_tag: of the last message that arrived.
    """

    def __init__(self, link: Link, number: int) -> None:
        self._link = link
        self.number = number
        self.returned: list[Returned] = []
        self.last_delivery_tag = 0
        self._out: list[bytes] = []
        self._published = 0
        self._confirmed = 0
        self._confirmed_apart: set[int] = set()
        self._first_refused: int | None = None
        self._waiting: list[tuple[int, int, asyncio.Future[None]]] = []
        self._waiters = 0
        self._deliveries: deque[Delivery] = deque()
        self._held_bytes = 0
        self._arrival: asyncio.Future[None] | None = None
        self._answer: asyncio.Future[base.Frame] | None = None
        self._asking = asyncio.Lock()
        self._error: BrokerError | None = None

    # --- publishing ---------------------------------------------------------------------------------

    def publish(
        self, exchange: str, routing_key: str, properties: Properties, body: bytes, mandatory: bool = False
    ) -> None:
        """Put a message into the next write. Nothing is sent before `flush`."""
        self._out.append(
            publish_frames(self.number, exchange, routing_key, mandatory, properties, body, self._link.frame_max)
        )
        self._published += 1

    def flush(self) -> int:
        """Send what was published, in one write.

        Returns:
            The tag of the last message ever published here: what to hand to `confirmed`.

        Raises:
            ConnectionLost: if the channel is gone; nothing of it may have arrived.
        """
        if self._error is not None:
            raise self._error
        if self._out:
            self._link.write(b"".join(self._out))
            self._out.clear()
        return self._published

    async def confirmed(self, tag: int) -> None:
        """Wait until the broker has confirmed everything published up to a tag.

        Raises:
            PublishRefused: if it refused any of it.
            ConnectionLost: if the channel went away before.
        """
        if self._is_refused(tag):
            raise self._refusal()
        if self._confirmed >= tag:
            return
        if self._error is not None:
            raise self._error
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters += 1
        heapq.heappush(self._waiting, (tag, self._waiters, future))
        await future

    def on_confirm(self, tag: int, multiple: bool, refused: bool) -> None:
        """The broker's ack or nack: single ones may come in any order, a multiple one means all up to it."""
        if refused:
            first = self._confirmed + 1 if multiple else tag
            self._first_refused = first if self._first_refused is None else min(first, self._first_refused)
        apart = self._confirmed_apart
        if multiple:
            if tag > self._confirmed:
                self._confirmed = tag
                if apart:
                    self._confirmed_apart = apart = {other for other in apart if other > tag}
        elif tag == self._confirmed + 1:
            self._confirmed = tag
        else:
            apart.add(tag)
        while apart and self._confirmed + 1 in apart:
            self._confirmed += 1
            apart.discard(self._confirmed)
        while self._waiting and (self._waiting[0][0] <= self._confirmed or self._is_refused(self._waiting[0][0])):
            waited, _, future = heapq.heappop(self._waiting)
            if future.done():
                continue
            if self._is_refused(waited):
                future.set_exception(self._refusal())
            else:
                future.set_result(None)

    def _is_refused(self, tag: int) -> bool:
        return self._first_refused is not None and self._first_refused <= tag

    def _refusal(self) -> PublishRefused:
        return PublishRefused(f"the broker refused message {self._first_refused} on channel {self.number}")

    # --- consuming ----------------------------------------------------------------------------------

    async def consume(self, queue: str, consumer_tag: str) -> None:
        """Subscribe to a queue; deliveries arrive in `take`.

        Raises:
            BrokerError: if there's no such queue, or it may not be read.
        """
        await self.ask(amqp.Basic.Consume(queue=queue, consumer_tag=consumer_tag))

    async def cancel(self, consumer_tag: str) -> None:
        """End a subscription; when this returns, whatever was delivered for it can be taken."""
        await self.ask(amqp.Basic.Cancel(consumer_tag=consumer_tag))

    async def take(self, most: int, wait_s: float) -> list[Delivery]:
        """The next deliveries, at least one.

        Waits for the first; then goes on for up to `wait_s` only while more keep arriving, so that a lone
        message never waits. Of large messages it takes no more than `TAKEN_BYTES`, or one.

        Raises:
            BrokerError: if the channel is gone, once all that arrived before is taken.
        """
        waiting = self._deliveries
        while not waiting:
            if self._error is not None:
                raise self._error
            self._arrival = asyncio.get_running_loop().create_future()
            await self._arrival
        if 1 < len(waiting) < most:
            await self._gather(most, wait_s)
        if len(waiting) <= most and self._held_bytes <= TAKEN_BYTES:
            taken = list(waiting)
            waiting.clear()
            self._held_bytes = 0
        else:
            taken = self._some(most)
        if self._held_bytes < HELD_BYTES:
            self._link.read_on(self.number)
        return taken

    def _some(self, most: int) -> list[Delivery]:
        taken: list[Delivery] = []
        size = 0
        while self._deliveries and len(taken) < most:
            size += len(self._deliveries[0].body)
            if taken and size > TAKEN_BYTES:
                break
            taken.append(self._deliveries.popleft())
            self._held_bytes -= len(taken[-1].body)
        return taken

    async def _gather(self, most: int, wait_s: float) -> None:
        clock = asyncio.get_running_loop().time
        until = clock() + wait_s
        while len(self._deliveries) < most and clock() < until and self._error is None:
            before = len(self._deliveries)
            await asyncio.sleep(0)
            if len(self._deliveries) == before:
                return

    def ack(self, delivery_tag: int, *, multiple: bool = False) -> None:
        """Acknowledge a delivery, or all up to it."""
        if self._error is None:
            self._link.write(ack_frame(self.number, delivery_tag, multiple))

    def settle(self, deliveries: Sequence[Delivery]) -> None:
        """Acknowledge a batch that `take` gave, once those before it are settled.

        Unreadable ones are rejected instead, which makes dead letters of them.
        """
        readable = 0
        for delivery in deliveries:
            if delivery.unreadable:
                self.nack(delivery.delivery_tag, requeue=False)
            else:
                readable = delivery.delivery_tag
        if readable:  # never a rejected one: the broker wouldn't know its tag any more
            self.ack(readable, multiple=True)

    def nack(self, delivery_tag: int, *, multiple: bool = False, requeue: bool = True) -> None:
        """Hand a delivery back, or all up to it."""
        if self._error is None:
            self._link.write(nack_frame(self.number, delivery_tag, multiple, requeue))

    def on_delivery(self, delivery: Delivery) -> None:
        """A message arrived."""
        self.last_delivery_tag = delivery.delivery_tag
        self._deliveries.append(delivery)
        self._held_bytes += len(delivery.body)
        if self._held_bytes > HELD_BYTES:
            self._link.read_no_further(self.number)
        if self._arrival is not None and not self._arrival.done():
            self._arrival.set_result(None)

    # --- rare methods -------------------------------------------------------------------------------

    async def ask(self, method: Any) -> base.Frame:
        """Send a method and wait for its answer.

        Raises:
            BrokerError: if the broker refuses it, which closes the channel, or doesn't answer.
        """
        async with self._asking:
            if self._error is not None:
                raise self._error
            self._answer = asyncio.get_running_loop().create_future()
            self._link.send(method, self.number)
            try:
                async with asyncio.timeout(ANSWER_TIMEOUT_S):  # `wait_for` may swallow a cancellation
                    return await self._answer
            except TimeoutError:
                error = ConnectionLost(f"the broker didn't answer {method.name} in {ANSWER_TIMEOUT_S:g} s")
                self.fail(error)  # a late answer would be taken for that to the next method
                raise error from None
            finally:
                self._answer = None

    def on_method(self, method: base.Frame) -> None:
        """Whatever isn't about messages: an answer, the end of a consumer, the end of the channel."""
        if isinstance(method, amqp.Channel.Close):
            self._link.send(amqp.Channel.CloseOk(), self.number)
            self.fail(BrokerError(f"the broker closed the channel: {method.reply_text}"))
        elif isinstance(method, amqp.Basic.Cancel):
            self.fail(ConnectionLost(f"the broker ended consumer {method.consumer_tag}: its queue is gone or moved"))
        elif self._answer is not None and not self._answer.done():
            self._answer.set_result(method)

    def fail(self, error: BrokerError) -> None:
        """The channel is of no use any more: tell everybody who waits."""
        if self._error is not None:
            return
        self._error = error
        futures: list[asyncio.Future[Any] | None] = [future for _, _, future in self._waiting]
        self._waiting.clear()
        for future in (*futures, self._answer):
            if future is not None and not future.done():
                future.set_exception(error)
                future.exception()  # whoever waits sees it; if nobody does, it's no news
        if self._arrival is not None and not self._arrival.done():
            self._arrival.set_result(None)
