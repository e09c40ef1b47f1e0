"""A RabbitMQ to talk to: a fresh virtual host a test, and its HTTP API."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import closing
from typing import Any
from uuid import uuid4

import pytest
from pamqp import commands as amqp

from datapunk.broker.channel import Channel
from datapunk.broker.link import Link
from tests.management import Management


@pytest.fixture
def management(broker_url: str) -> Iterator[Management]:
    with closing(Management.of(broker_url)) as management:
        yield management


@pytest.fixture
def broker_url() -> Iterator[str]:
    vhost = f"test-{uuid4()}"
    url = os.environ["DATAPUNK_BROKER_URL"].rpartition("/")[0] + f"/{vhost}"
    with closing(Management.of(url)) as management:
        management.create_vhost()
        yield url
        management.delete_vhost()


OpenLink = Callable[..., Awaitable[Link]]


@pytest.fixture
async def open_link(broker_url: str) -> AsyncIterator[OpenLink]:
    """Opens links that are closed after the test."""
    links: list[Link] = []

    async def open_one(name: str = "test", **options: Any) -> Link:
        links.append(await Link.open(broker_url, name=name, **options))
        return links[-1]

    yield open_one
    for link in links:
        await link.close()


@pytest.fixture
async def link(open_link: OpenLink) -> Link:
    return await open_link()


async def take(channel: Channel, count: int) -> list[Any]:
    """So many deliveries, within a deadline."""
    taken: list[Any] = []
    async with asyncio.timeout(20):
        while len(taken) < count:
            taken += await channel.take(count - len(taken), 0.005)
    return taken


async def queue_of(channel: Channel, name: str = "queue", arguments: dict[str, Any] | None = None) -> None:
    """Declare a durable queue."""
    await channel.ask(amqp.Queue.Declare(queue=name, durable=True, arguments=arguments))
