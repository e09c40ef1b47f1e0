"""Deliveries on their way from channels of one link to whoever handles them in batches."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING

from datapunk.broker.properties import Properties
from datapunk.errors import BrokerError

if TYPE_CHECKING:
    from datapunk.broker.channel import Channel

TAKEN_BYTES = 32 * 1024 * 1024  # bodies in a batch
HELD_BYTES = 64 * 1024 * 1024  # bodies that wait to be taken; prefetch counts messages, whatever their size


class Delivery:
    """A message as it was delivered.

    Attributes:
        channel: by which it came, and is acknowledged.
        unreadable: why its properties can't be read, and so are empty, or why they can't be written again
            (`dead_letter.bury`); "" if they can. Such a message can only be handed back to the broker, which keeps
            it as it came.
        raw_properties: where they can't be read, what came in their place.
    """

    __slots__ = (
        "body",
        "channel",
        "consumer_tag",
        "delivery_tag",
        "exchange",
        "properties",
        "raw_properties",
        "redelivered",
        "routing_key",
        "unreadable",
    )

    def __init__(
        self,
        channel: Channel,
        consumer_tag: str,
        delivery_tag: int,
        redelivered: bool,
        exchange: str,
        routing_key: str,
        properties: Properties,
        body: bytes,
        unreadable: str = "",
        raw_properties: bytes = b"",
    ) -> None:
        self.channel = channel
        self.consumer_tag = consumer_tag
        self.delivery_tag = delivery_tag
        self.redelivered = redelivered
        self.exchange = exchange
        self.routing_key = routing_key
        self.properties = properties
        self.body = body
        self.unreadable = unreadable
        self.raw_properties = raw_properties


class Deliveries:
    """Where deliveries wait, of one channel or of several."""

    def __init__(self) -> None:
        self._waiting: deque[Delivery] = deque()
        self._held_bytes = 0
        self._arrival: asyncio.Future[None] | None = None
        self._error: BrokerError | None = None

    def add(self, delivery: Delivery) -> None:
        """A message arrived."""
        self._waiting.append(delivery)
        self._held_bytes += len(delivery.body)
        if self._held_bytes > HELD_BYTES:
            delivery.channel.link.read_no_further(self)
        self._wake()

    def fail(self, error: BrokerError) -> None:
        """No more will come."""
        self._error = self._error or error
        self._wake()

    def drop(self, channel: Channel) -> None:
        """Forget what a channel brought and nobody took; the broker still has it."""
        kept = [delivery for delivery in self._waiting if delivery.channel is not channel]
        self._waiting = deque(kept)
        self._held_bytes = sum(len(delivery.body) for delivery in kept)
        self._make_room(channel)

    async def take(self, most: int, wait_s: float) -> list[Delivery]:
        """The next deliveries, at least one.

        Waits for the first; then goes on for up to `wait_s` only while more keep arriving, so that a lone
        message never waits. Of large messages it takes no more than `TAKEN_BYTES`, or one.

        Raises:
            BrokerError: if a channel is gone, once all that arrived before is taken.
        """
        while not self._waiting:
            if self._error is not None:
                raise self._error
            self._arrival = asyncio.get_running_loop().create_future()
            await self._arrival
        if 1 < len(self._waiting) < most:
            await self._gather(most, wait_s)
        if len(self._waiting) <= most and self._held_bytes <= TAKEN_BYTES:
            taken = list(self._waiting)
            self._waiting.clear()
            self._held_bytes = 0
        else:
            taken = self._some(most)
        for delivery in taken:
            delivery.channel.last_taken = delivery.delivery_tag
        if taken:
            self._make_room(taken[0].channel)
        return taken

    async def _gather(self, most: int, wait_s: float) -> None:
        clock = asyncio.get_running_loop().time
        until = clock() + wait_s
        while len(self._waiting) < most and clock() < until and self._error is None:
            before = len(self._waiting)
            await asyncio.sleep(0)
            if len(self._waiting) <= before:
                return

    def _some(self, most: int) -> list[Delivery]:
        taken: list[Delivery] = []
        size = 0
        while self._waiting and len(taken) < most:
            size += len(self._waiting[0].body)
            if taken and size > TAKEN_BYTES:
                break
            taken.append(self._waiting.popleft())
            self._held_bytes -= len(taken[-1].body)
        return taken

    def _make_room(self, channel: Channel) -> None:
        if self._held_bytes < HELD_BYTES:
            channel.link.read_on(self)

    def _wake(self) -> None:
        if self._arrival is not None and not self._arrival.done():
            self._arrival.set_result(None)


def settle(deliveries: Sequence[Delivery]) -> None:
    """Acknowledge a batch that `take` gave, once those before it are settled.

    Unreadable ones are rejected instead, which makes dead letters of them.
    """
    readable: dict[Channel, int] = {}
    for delivery in deliveries:
        if delivery.unreadable:
            delivery.channel.nack(delivery.delivery_tag, requeue=False)
        else:
            readable[delivery.channel] = delivery.delivery_tag
        delivery.channel.last_settled = delivery.delivery_tag
    for channel, tag in readable.items():  # never a rejected one: the broker wouldn't know its tag any more
        channel.ack(tag, multiple=True)
