"""Events over HTTP: server-sent events (WHATWG HTML, §9.2), resumable at any position.

Each has as `id` the event's position, as `event` its type, and as `data` the event as CloudEvents 1.0 in
JSON. A browser's `EventSource` that reconnects sends `Last-Event-ID` by itself, and goes on without a gap.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator

import psycopg
import psycopg_pool
from fastapi import APIRouter, Request, Response
from sse_starlette import EventSourceResponse
from sse_starlette.sse import SendTimeoutError
from starlette.types import Receive, Scope, Send

from datapunk.errors import InvalidPattern
from datapunk.http.envelopes import tenant_of
from datapunk.http.facade import SERVICE, Facade, TheFacade
from datapunk.http.problems import Problem
from datapunk.http.queries import MOST_POSITION
from datapunk.messages.catalogue import Kind
from datapunk.messages.pattern import Pattern
from datapunk.messages.shown import cloud_event
from datapunk.store.events import RecordedEvent
from datapunk.telemetry import logs, metrics

PATH = "/v1/events"
MOST_STREAMS = 500  # open at a time, a process
STUCK_S = 30.0  # a client that takes nothing for so long is left
RETRY_MS = 2000  # how long a browser waits before it reconnects

router = APIRouter()
log = logs.get_logger(__name__)


@router.get(PATH)
async def follow_events(request: Request, facade: TheFacade, pattern: str = "#", after: int | None = None) -> Response:
    """Follow events from now on, or from after the position in `Last-Event-ID` or `?after=`."""
    try:
        wanted = Pattern(pattern)
    except InvalidPattern as error:
        raise Problem(400, error.code, str(error)) from None
    position = _position(request, after)
    tenant = tenant_of(request, facade.settings.default_tenant)
    if facade.open_streams >= MOST_STREAMS:
        raise Problem(503, "too_many_streams", f"{MOST_STREAMS} clients follow events here already; try later")
    return _EventStream(_written(facade, wanted, tenant, position))


def _position(request: Request, after: int | None) -> int | None:
    header = request.headers.get("Last-Event-ID", "").strip()
    if header:
        if not (header.isascii() and header.isdecimal()):
            raise Problem(400, "position_invalid", f"Last-Event-ID is a position, a number, not {header[:50]!r}")
        after = int(header)
    if after is not None and not 0 <= after <= MOST_POSITION:
        raise Problem(400, "position_invalid", f"a position is a number from 0 to {MOST_POSITION}")
    return after


async def _written(facade: Facade, pattern: Pattern, tenant: str, after: int | None) -> AsyncGenerator[bytes]:
    def matches(event: RecordedEvent) -> bool:
        return event.tenant == tenant and pattern.matches(event.stream, event.type)

    types: list[str] | None = None
    if pattern.module is not None:
        types = [each.name for each in facade.catalogue.of_kind(Kind.EVENT) if each.module == pattern.module]
    reason = "left"
    _count_streams(facade, 1)
    try:
        yield f"retry: {RETRY_MS}\n: following {pattern.text}\n\n".encode()
        async for event in facade.tail.follow(matches, after, types=types, tenant=tenant):
            if isinstance(event, int):  # tells the position, so that a client that resumes needn't search again
                yield f": nothing new\nid: {event}\n\n".encode()
            else:
                yield b"id: %d\nevent: %s\ndata: %s\n\n" % (
                    event.position,
                    event.type.encode(),
                    cloud_event(event, facade.registry, facade.catalogue),
                )
        reason = "stopped"
    except (psycopg.OperationalError, psycopg_pool.PoolTimeout) as error:
        reason = "failed"  # the client reconnects, and goes on from where it was
        log.warning("database away", error=str(error))
    finally:
        _count_streams(facade, -1)
        metrics.EVENT_STREAMS_ENDED.labels(SERVICE, reason).inc()


def _count_streams(facade: Facade, change: int) -> None:
    facade.open_streams += change
    metrics.EVENT_STREAMS.labels(SERVICE).set(facade.open_streams)


class _EventStream(EventSourceResponse):
    """The response."""

    def __init__(self, content: AsyncGenerator[bytes]) -> None:
        super().__init__(content, ping=0, send_timeout=STUCK_S)  # pyright: ignore[reportUnknownMemberType]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        except SendTimeoutError:
            log.info("left a client that takes no events", waited_s=STUCK_S)
