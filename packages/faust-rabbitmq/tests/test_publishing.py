"""A lost connection neither loses a message nor writes it twice."""

from __future__ import annotations

import asyncio

import aio_pika
import uvloop
from faust_rabbitmq.record import decode, encode
from faust_rabbitmq.settings import read_url
from faust_rabbitmq.stream.connections import Connections
from faust_rabbitmq.stream.publisher import Publisher
from faust_rabbitmq.stream.reader import Reader
from yarl import URL

N = 5000


async def test_what_is_sent_over_a_connection_that_breaks_is_stored_once_and_in_order(broker: str) -> None:
    settings = read_url(URL(broker))
    connection = await aio_pika.connect(settings.amqp_url)
    async with connection:
        channel = await connection.channel()
        await channel.declare_queue("line", durable=True, arguments={"x-queue-type": "stream"})
    publisher, connections = Publisher(settings.stream, "test"), Connections(settings.stream, "test")
    outcomes: list[BaseException | None] = []
    for n in range(N):
        publisher.send("line", encode(None, str(n).encode()), outcomes.append)
        if n % 700 == 699:
            await asyncio.sleep(0.01)
            (await publisher.connections.get()).abort()  # what was sent may be there, or not
    await publisher.flush()
    assert outcomes == [None] * N
    arrived = asyncio.Event()
    reader = Reader(connections, "line", arrived)
    read: list[int] = []
    async with asyncio.timeout(60):
        while len(read) < N:
            taken = reader.take(1000)
            if not taken:
                arrived.clear()
                await arrived.wait()
            read += [int(decode(message).value or b"-1") for _, _, message in taken]
            if len(read) == 2000:
                (await connections.get()).abort()
    assert read == list(range(N))
    await reader.stop()
    await publisher.close()
    await connections.close()


def test_it_runs_on_uvloop_as_well(broker: str) -> None:
    async def ask() -> int:
        connections = Connections(read_url(URL(broker)).stream, "test")
        frame_max = (await connections.get()).frame_max
        await connections.close()
        return frame_max

    assert uvloop.run(ask()) > 0
