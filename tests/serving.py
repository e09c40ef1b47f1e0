"""The HTTP facade for tests: really listening on a port of its own, and read as a client reads it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from datapunk.health import Health
from datapunk.http.app import create_app
from datapunk.http.facade import Facade
from datapunk.http.server import run_app
from datapunk.module import Module
from datapunk.settings import Settings
from tests.working import DEADLINE_S, eventually

HOST = "127.0.0.1"


@asynccontextmanager
async def serving(
    modules: Sequence[Module],
    settings: Settings,
    *,
    health: Health | None = None,
    prepared: asyncio.Event | None = None,
    is_reachable: bool = True,
) -> AsyncIterator[httpx.AsyncClient]:
    """A facade, and a client of it; both are ready unless `is_reachable` says that the servers can't be reached."""
    facade = Facade(settings, modules, prepared)
    facade.health = health or facade.health
    stop, listening = asyncio.Event(), asyncio.get_running_loop().create_future()
    async with facade.running():
        server = run_app(create_app(facade), HOST, 0, stop, before_stop=facade.tail.close, listening=listening)
        running = asyncio.create_task(server)
        port = await listening
        try:
            async with httpx.AsyncClient(base_url=f"http://{HOST}:{port}", timeout=DEADLINE_S) as client:
                if is_reachable:
                    await eventually(lambda: _is_ready(client), "the facade is ready")
                yield client
        finally:
            stop.set()
            await asyncio.wait_for(running, DEADLINE_S)


async def _is_ready(client: httpx.AsyncClient) -> bool:
    return (await client.get("/health/ready")).status_code == 200


@dataclass(frozen=True)
class Heard:
    """One server-sent event."""

    id: int
    type: str
    data: dict[str, Any]


@asynccontextmanager
async def following(
    client: httpx.AsyncClient, path: str = "/v1/events", headers: dict[str, str] | None = None, **parameters: Any
) -> AsyncIterator[AsyncIterator[Heard]]:
    """Follow events; what is yielded gives the next one whenever asked. Entered, the stream has begun."""
    async with client.stream("GET", path, params=parameters, headers=headers, timeout=DEADLINE_S) as response:
        assert response.status_code == 200, (await response.aread()).decode()
        assert response.headers["content-type"].startswith("text/event-stream")
        lines = response.aiter_lines()
        async for line in lines:
            if line.startswith(": following"):
                break
        yield _heard(lines)


async def _heard(lines: AsyncIterator[str]) -> AsyncIterator[Heard]:
    fields: dict[str, str] = {}
    async for line in lines:
        name, _, value = line.partition(": ")
        if line and name:
            fields[name] = value
        elif not line:
            if "data" in fields:
                yield Heard(int(fields["id"]), fields["event"], json.loads(fields["data"]))
            fields = {}


async def take(events: AsyncIterator[Heard], count: int) -> list[Heard]:
    """The next so many events."""
    async with asyncio.timeout(DEADLINE_S):
        return [await anext(events) for _ in range(count)]
