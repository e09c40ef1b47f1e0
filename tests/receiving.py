"""A receiver of webhooks for tests: a real HTTP server that answers as a test says, and remembers what came."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from datapunk.http.server import run_app
from tests.working import DEADLINE_S, eventually


@dataclass(frozen=True)
class Received:
    """One request."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def event(self) -> dict[str, Any]:
        """The CloudEvent in it."""
        return msgspec.json.decode(self.body)


Answer = Callable[[Received], Awaitable[Response]]


async def take(_: Received) -> Response:
    """Say that all is well."""
    return Response(status_code=204)


@dataclass
class Receiver:
    """Made by `receiving`.

    Attributes:
        url: where it listens, without a path.
        answer: what to do with a request; by default take it.
        received: all requests so far, those that were refused, too.
        taken: those that were answered well.
    """

    url: str = ""
    answer: Answer = take
    received: list[Received] = field(default_factory=list)
    taken: list[Received] = field(default_factory=list)

    async def handle(self, request: Request) -> Response:
        received = Received(request.url.path, dict(request.headers), await request.body())
        self.received.append(received)
        answer = await self.answer(received)
        if answer.status_code < 300:
            self.taken.append(received)
        return answer

    async def until_taken(self, count: int, path: str | None = None) -> list[Received]:
        """Wait until so many different deliveries were taken, at a path; returns all that were."""

        async def look() -> list[Received] | None:
            found = [each for each in self.taken if path in (None, each.path)]
            return found if len({(each.path, each.id) for each in found}) >= count else None

        return await eventually(look, f"{count} deliveries among {len(self.received)}")

    async def until_received(self, count: int) -> list[Received]:
        """Wait until so many requests came; returns them."""

        async def look() -> list[Received] | None:
            return self.received if len(self.received) >= count else None

        return await eventually(look, f"{count} requests")


@asynccontextmanager
async def receiving(port: int = 0) -> AsyncIterator[Receiver]:
    """A receiver on 127.0.0.1, for as long as the block runs."""
    receiver = Receiver()
    app = Starlette(routes=[Route("/{path:path}", receiver.handle, methods=["POST", "GET"])])
    stop, listening = asyncio.Event(), asyncio.get_running_loop().create_future()
    running = asyncio.create_task(run_app(app, "127.0.0.1", port, stop, listening=listening))
    receiver.url = f"http://127.0.0.1:{await listening}"
    try:
        yield receiver
    finally:
        stop.set()
        await asyncio.wait_for(running, DEADLINE_S)
