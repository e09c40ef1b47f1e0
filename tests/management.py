"""RabbitMQ's HTTP API, for tests: looks at what is there, and kills connections."""

from __future__ import annotations

import asyncio
import time
from typing import Any
from urllib.parse import quote

import httpx

from datapunk.settings import load_settings
from tests.working import DEADLINE_S


class Management:
    """What tests ask of one virtual host."""

    def __init__(self, url: str, vhost: str) -> None:
        place = httpx.URL(url)
        self._http = httpx.Client(
            base_url=place.copy_with(username=None, password=None),
            auth=(place.username, place.password),
            timeout=DEADLINE_S,
        )
        self.vhost = vhost

    @classmethod
    def of(cls, broker_url: str) -> Management:
        """For the virtual host of a broker's URL."""
        return cls(load_settings().broker_management_url, broker_url.rpartition("/")[2] or quote("/", safe=""))

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

    def declare_queue(self, name: str) -> None:
        """A durable queue without arguments."""
        self._http.put(f"/api/queues/{self.vhost}/{name}", json={"durable": True}).raise_for_status()

    def get(self, what: str) -> Any:
        """As in `queues`: those of the virtual host."""
        return self._http.get(f"/api/{what}/{self.vhost}").raise_for_status().json()

    def connections(self, name: str) -> list[dict[str, Any]]:
        found = self._http.get(f"/api/vhosts/{self.vhost}/connections").raise_for_status().json()
        return [one for one in found if one.get("client_properties", {}).get("connection_name") == name]

    def kill_all_connections(self) -> None:
        """As far as the HTTP API knows of them."""
        for one in self._http.get(f"/api/vhosts/{self.vhost}/connections").raise_for_status().json():
            self._http.delete(f"/api/connections/{quote(one['name'])}", headers={"X-Reason": "killed by a test"})

    async def kill_connection(self, name: str) -> None:
        """Close a client's connection; the HTTP API learns of a connection some seconds after it's opened."""
        deadline = time.monotonic() + DEADLINE_S
        while not (found := self.connections(name)):
            assert time.monotonic() < deadline, f"the HTTP API doesn't show connection {name}"
            await asyncio.sleep(0.1)
        for one in found:
            self._http.delete(f"/api/connections/{one['name']}", headers={"X-Reason": "killed by a test"})

    def close(self) -> None:
        self._http.close()
