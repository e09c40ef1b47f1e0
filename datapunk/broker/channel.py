"""One AMQP channel of a link: batches of messages out, with confirms counted; batches of deliveries in."""

from __future__ import annotations

import asyncio
import heapq
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pamqp import base
from pamqp import commands as amqp

from datapunk.broker.deliveries import Deliveries, Delivery
from datapunk.broker.frames import ack_frame, nack_frame, publish_frames
from datapunk.broker.properties import Properties
from datapunk.errors import BrokerError, ConnectionLost, PublishRefused

if TYPE_CHECKING:
    from datapunk.broker.link import Link

ANSWER_TIMEOUT_S = 30.0  # for declaring, consuming, cancelling


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
        last_taken: of the last message that `Deliveries.take` gave; once it's `last_settled`, too, nothing that came
            by this channel is under way.
    """

    def __init__(self, link: Link, number: int, deliveries: Deliveries | None = None) -> None:
        self.link = link
        self.number = number
        self.deliveries = deliveries or Deliveries()
        self.last_taken = self.last_settled = 0
        self._is_draining = False
        self.returned: list[Returned] = []
        self.last_delivery_tag = 0
        self._out: list[bytes] = []
        self._published = 0
        self._confirmed = 0
        self._confirmed_apart: set[int] = set()
        self._first_refused: int | None = None
        self._waiting: list[tuple[int, int, asyncio.Future[None]]] = []
        self._waiters = 0
        self._answer: asyncio.Future[base.Frame] | None = None
        self._asking = asyncio.Lock()
        self._error: BrokerError | None = None

    # --- publishing ---------------------------------------------------------------------------------

    def publish(
        self, exchange: str, routing_key: str, properties: Properties, body: bytes, mandatory: bool = False
    ) -> None:
        """Put a message into the next write. Nothing is sent before `flush`."""
        self._out.append(
            publish_frames(self.number, exchange, routing_key, mandatory, properties, body, self.link.frame_max)
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
            self.link.write(b"".join(self._out))
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
        """See `Deliveries.take`."""
        return await self.deliveries.take(most, wait_s)

    def drain(self) -> None:
        """Take in no more: what isn't taken yet stays with the broker, and goes to others once this is closed."""
        self._is_draining = True
        self.deliveries.drop(self)

    async def close(self) -> None:
        """Close the channel; in that moment the broker gets back all that isn't acknowledged, in its old order.

        Raises:
            BrokerError: if the channel is gone, or the broker doesn't answer.
        """
        self.drain()
        await self.ask(amqp.Channel.Close(reply_code=200, reply_text="bye", class_id=0, method_id=0))
        self._error = ConnectionLost("the channel is closed")
        self.link.forget(self)

    def ack(self, delivery_tag: int, *, multiple: bool = False) -> None:
        """Acknowledge a delivery, or all up to it."""
        if self._error is None:
            self.link.write(ack_frame(self.number, delivery_tag, multiple))

    def nack(self, delivery_tag: int, *, multiple: bool = False, requeue: bool = True) -> None:
        """Hand a delivery back, or all up to it."""
        if self._error is None:
            self.link.write(nack_frame(self.number, delivery_tag, multiple, requeue))

    def on_delivery(self, delivery: Delivery) -> None:
        """A message arrived."""
        if not self._is_draining:
            self.last_delivery_tag = delivery.delivery_tag
            self.deliveries.add(delivery)

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
            self.link.send(method, self.number)
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
            self.link.send(amqp.Channel.CloseOk(), self.number)
            if not self._is_draining:  # else a close of ours may have crossed it, which the broker still answers
                self.link.forget(self)
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
        self.deliveries.fail(error)
