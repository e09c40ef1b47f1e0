"""Names of RabbitMQ's pseudo-queues for replies, and what isn't quite one."""

from __future__ import annotations

import asyncio
import base64
import struct
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import aio_pika
from aio_pika.abc import AbstractIncomingMessage
from hypothesis import strategies as st

from tests.raw import PATIENCE_S

PREFIX = "amq.rabbitmq.reply-to."


def address(node: bytes, *, id: int = 1000, serial: int = 0, creation: int = 1, key: str = "key") -> str:
    """A name as RabbitMQ makes it: a process in Erlang's external term format, and a key."""
    process = struct.pack(f">BBBH{len(node)}sIII", 131, 88, 118, len(node), node, id, serial, creation)
    return f"{PREFIX}{base64.b64encode(process).decode()}.{key}"


# RabbitMQ 3.10 closes the connection that publishes to one of these.
HARMFUL = {
    "a term that is no process": f"{PREFIX}g2gDYQFhAg==.x",
    "no base64": f"{PREFIX}a.b",
    "a node that isn't in the cluster": address(b"reply@123"),
    "a node without a number": address(b"reply@rabbit"),
    "a node of the name's former form": address(b"rabbit"),
}


def addresses() -> st.SearchStrategy[str]:
    """Whatever a stranger may put into `reply_to` to reach one of those pseudo-queues, or nearly."""
    texts = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=40)
    encoded = st.binary(max_size=60).map(lambda data: base64.b64encode(data).decode())
    numbers = st.integers(0, 2**32 - 1)
    processes = st.builds(
        address,
        st.one_of(st.binary(max_size=20), st.integers(0, 2**28).map(lambda number: b"reply@%d" % number)),
        id=numbers,
        serial=numbers,
        creation=numbers,
        key=texts,
    )
    pairs = st.builds("{}{}.{}".format, st.just(PREFIX), st.one_of(texts, encoded), texts)
    known = st.sampled_from(sorted(HARMFUL.values()))
    others = st.builds("{}{}".format, st.sampled_from([PREFIX, "amq."]), texts)
    return st.one_of(known, processes, pairs, others).filter(lambda name: len(name.encode()) <= 255)


@dataclass(frozen=True)
class DirectConsumer:
    """Somebody who has replies sent to the broker's pseudo-queue.

    Attributes:
        name: what stands in `reply_to` once the broker has put it there.
    """

    name: str
    replies: asyncio.Queue[AbstractIncomingMessage]

    async def bodies(self, count: int) -> list[bytes]:
        """Of the next replies."""
        async with asyncio.timeout(PATIENCE_S):
            return [(await self.replies.get()).body for _ in range(count)]


@asynccontextmanager
async def direct_consumer(broker_url: str) -> AsyncGenerator[DirectConsumer]:
    """Connect, and consume replies without a queue."""
    async with await aio_pika.connect(broker_url) as connection:
        channel = await connection.channel(publisher_confirms=False)
        replies: asyncio.Queue[AbstractIncomingMessage] = asyncio.Queue()
        direct = await channel.get_queue("amq.rabbitmq.reply-to", ensure=False)
        await direct.consume(replies.put, no_ack=True)
        told: asyncio.Queue[AbstractIncomingMessage] = asyncio.Queue()
        queue = await channel.declare_queue(exclusive=True)
        await queue.consume(told.put, no_ack=True)
        await channel.default_exchange.publish(aio_pika.Message(b"", reply_to="amq.rabbitmq.reply-to"), queue.name)
        name = (await asyncio.wait_for(told.get(), PATIENCE_S)).reply_to
        assert name is not None
        yield DirectConsumer(name, replies)
