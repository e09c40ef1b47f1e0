"""More than a process bears at a time is refused, and told when to come back."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator

import httpx
import pytest
from fastapi import FastAPI, Request
from prometheus_client import REGISTRY

from datapunk.http import middleware, problems
from datapunk.http.facade import SERVICE
from datapunk.http.middleware import Bounded, Observed
from datapunk.settings import Settings
from tests.accounts.module import accounts
from tests.serving import following, serving
from tests.working import eventually


class Door:
    """Holds requests until it's opened.

    Attributes:
        inside: how many are held.
    """

    def __init__(self) -> None:
        self.inside = 0
        self._open = asyncio.Event()

    async def wait(self) -> None:
        self.inside += 1
        await self._open.wait()
        self.inside -= 1

    async def holds(self, requests: int) -> None:
        async def look() -> bool:
            return self.inside == requests

        await eventually(look, f"{requests} requests are held")

    def open(self) -> None:
        self._open.set()


@pytest.fixture
def door() -> Door:
    return Door()


@pytest.fixture
async def http(door: Door) -> AsyncIterator[httpx.AsyncClient]:
    """An app that answers two requests at a time, with bodies of 1,000 bytes together, and `/free` always."""
    app = FastAPI()

    @app.post("/held")
    async def held(request: Request) -> int:
        size = len(await request.body())
        await door.wait()
        return size

    @app.post("/free")
    async def free(request: Request) -> int:
        return len(await request.body())

    problems.install(app)
    app.add_middleware(Bounded, requests=2, body_bytes=1000, unless={"/free"})
    app.add_middleware(Observed, service="test")
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
        yield client


async def test_more_requests_than_are_borne_are_told_when_to_come_back(http: httpx.AsyncClient, door: Door) -> None:
    under_way = [asyncio.create_task(http.post("/held")) for _ in range(2)]
    await door.holds(2)
    refused = await http.post("/held")
    assert (refused.status_code, refused.json()["code"]) == (503, "overloaded")
    assert int(refused.headers["retry-after"]) > 0
    door.open()
    assert [(await each).status_code for each in under_way] == [200, 200]
    assert (await http.post("/held")).status_code == 200


async def test_what_is_not_counted_gets_through(http: httpx.AsyncClient, door: Door) -> None:
    under_way = [asyncio.create_task(http.post("/held")) for _ in range(2)]
    await door.holds(2)
    assert (await http.post("/free", content=b"x" * 2000)).json() == 2000
    door.open()
    await asyncio.gather(*under_way)


async def test_bodies_that_find_no_room_are_told_when_to_come_back(http: httpx.AsyncClient, door: Door) -> None:
    under_way = asyncio.create_task(http.post("/held", content=b"x" * 600))
    await door.holds(1)
    refused = await http.post("/held", content=b"x" * 600)
    assert (refused.status_code, refused.json()["code"]) == (503, "overloaded")
    assert int(refused.headers["retry-after"]) > 0
    door.open()
    assert (await under_way).json() == 600
    assert (await http.post("/held", content=b"x" * 1000)).json() == 1000


async def test_a_caller_who_sends_half_a_body_is_left(
    http: httpx.AsyncClient, door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(middleware, "STALLED_S", 0.01)
    never = asyncio.Event()

    async def half() -> AsyncIterator[bytes]:
        yield b"x" * 600
        await never.wait()

    left = await http.post("/held", content=half())
    assert (left.status_code, left.json()["code"]) == (408, "body_stalled")
    door.open()
    assert (await http.post("/held", content=b"x" * 1000)).json() == 1000


async def test_the_setting_bounds_requests_and_neither_probes_nor_streams(settings: Settings) -> None:
    async def is_under_way() -> bool:
        return REGISTRY.get_sample_value("requests_in_progress", {"service": SERVICE}) == 1

    async with serving([accounts], settings.model_copy(update={"http_requests": 1})) as http:
        with socket.create_connection((http.base_url.host, http.base_url.port)) as half:
            half.sendall(
                b"POST /v1/commands/accounts.Deposit?actor_id=a HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{"
            )
            await eventually(is_under_way, "half a request is under way")
            refused = await http.post("/v1/queries/accounts.GetBalance", content=b" " * 5 * 1024 * 1024)
            assert (refused.status_code, refused.json()["code"]) == (503, "overloaded")
            assert (await http.get("/health/live")).status_code == 200
            async with following(http):
                pass
