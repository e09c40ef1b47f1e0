"""A RabbitMQ to talk to: a fresh virtual host a test, and its HTTP API."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import httpx
import pytest
from pamqp import commands as amqp

from datapunk.broker.link import Channel, Link


class Management:
    """What tests ask of RabbitMQ's HTTP API."""

    def __init__(self, url: str, vhost: str) -> None:
        place = httpx.URL(url)
        self._http = httpx.Client(
            base_url=place.copy_with(username=None, password=None),
            auth=(place.username, place.password),
            timeout=10,
        )
        self.vhost = vhost

    def create_vhost(self) -> None:
        self._http.put(f"/api/vhosts/{self.vhost}").raise_for_status()

    def delete_vhost(self) -> None:
        self._http.delete(f"/api/vhosts/{self.vhost}").raise_for_status()

    def create_user(self, name: str, password: str) -> None:
        path = quote(name, safe="")
        self._http.put(f"/api/users/{path}", json={"password": password, "tags": ""}).raise_for_status()
        everything = {"configure": ".*", "write": ".*", "read": ".*"}
        self._http.put(f"/api/permissions/{self.vhost}/{path}", json=everything).raise_for_status()

    def delete_user(self, name: str) -> None:
        self._http.delete(f"/api/users/{quote(name, safe='')}").raise_for_status()

    def get(self, what: str) -> Any:
        """As in `queues`: those of the virtual host."""
        return self._http.get(f"/api/{what}/{self.vhost}").raise_for_status().json()

    def connections(self, name: str) -> list[dict[str, Any]]:
        found = self._http.get(f"/api/vhosts/{self.vhost}/connections").raise_for_status().json()
        return [one for one in found if one.get("client_properties", {}).get("connection_name") == name]

    async def kill_connection(self, name: str) -> None:
        """Close a client's connection; the HTTP API learns of a connection some seconds after it's opened."""
        deadline = time.monotonic() + 20
        while not (found := self.connections(name)):
            assert time.monotonic() < deadline, f"the HTTP API doesn't show connection {name}"
            await asyncio.sleep(0.1)
        for one in found:
            self._http.delete(f"/api/connections/{one['name']}", headers={"X-Reason": "killed by a test"})

    def close(self) -> None:
        self._http.close()


@pytest.fixture
def management(broker_url: str) -> Iterator[Management]:
    management = Management(os.environ["DATAPUNK_BROKER_MANAGEMENT_URL"], broker_url.rpartition("/")[2])
    yield management
    management.close()


@pytest.fixture
def broker_url() -> Iterator[str]:
    vhost = f"test-{uuid4()}"
    management = Management(os.environ["DATAPUNK_BROKER_MANAGEMENT_URL"], vhost)
    management.create_vhost()
    yield os.environ["DATAPUNK_BROKER_URL"].rpartition("/")[0] + f"/{vhost}"
    management.delete_vhost()
    management.close()


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
