"""A key is where RabbitMQ's exchange puts it."""

from __future__ import annotations

import random

import aio_pika
import pytest
from faust_rabbitmq.broker_hash import broker_partition

LETTERS = "abcdefghijklmnopqrstuvwxyzäé€0123456789./-"


@pytest.mark.parametrize(
    ("key", "by_routing_key", "by_header"),
    [(b"", 6, 1), (b"abc", 5, 6), (b"hello world!", 6, 2), (b"0123456789abcdefghijklmnopqrstuvwxyz", 5, 2)],
)
def test_a_key_stays_where_it_was_in_earlier_releases(key: bytes, by_routing_key: int, by_header: int) -> None:
    assert (broker_partition(key, 8), broker_partition(key, 8, True)) == (by_routing_key, by_header)


@pytest.mark.parametrize("hashes_on", ["routing key", "header"])
async def test_a_key_is_where_the_broker_puts_it(broker_url: str, hashes_on: str) -> None:
    by_header = hashes_on == "header"
    partitions = 11
    chance = random.Random(7)
    keys = {"".join(chance.choices(LETTERS, k=chance.randint(1, 60))) for _ in range(300)}
    connection = await aio_pika.connect(broker_url)
    async with connection:
        channel = await connection.channel()
        arguments = {"hash-header": "key"} if by_header else {}
        exchange = await channel.declare_exchange("hashing", "x-consistent-hash", arguments=arguments)
        queues = [await channel.declare_queue(exclusive=True) for _ in range(partitions)]
        for queue in queues:
            await queue.bind(exchange, "1")
        for key in keys:
            message = aio_pika.Message(key.encode(), headers={"key": key})
            await exchange.publish(message, "" if by_header else key)
        found = {}
        for partition, queue in enumerate(queues):
            while message := await queue.get(fail=False, no_ack=True):
                found[message.body] = partition
    assert found == {key.encode(): broker_partition(key.encode(), partitions, by_header) for key in keys}
