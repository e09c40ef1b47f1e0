"""What happens around every request, as plain ASGI so that streams stay streams.

Registered order, outermost first: `Observed` (trace, correlation id, metrics, access log, last resort for
errors), `Bounded`, `BodyLimited`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection
from contextlib import suppress

import uuid_utils
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from datapunk.http.problems import Problem, problem_of
from datapunk.telemetry import logs, metrics, traces

CORRELATION_HEADER = "Correlation-Id"
MAX_CORRELATION_ID = 200  # characters; a longer one is replaced
QUIET_ENDPOINTS = frozenset({"/health/live", "/health/ready", "/health/startup", "/metrics"})
DRAIN_FACTOR = 8  # times the limit: how much of a body that's too large is read and thrown away …
DRAIN_S = 30.0  # … and for how long, so that the caller gets to read why instead of a broken connection
STALLED_S = 30.0  # a caller who sends nothing of a body for so long is left

log = logs.get_logger("datapunk.http.access")


class Observed:
    """Traces, counts, times and logs every request, and answers what nobody else caught with a 500.

    Args:
        app: what to wrap.
        service: the name under which it's counted.
    """

    def __init__(self, app: ASGIApp, service: str = "http") -> None:
        self._app, self._service = app, service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        correlation_id = _correlation_id(headers.get(CORRELATION_HEADER) or headers.get("X-Request-Id"))
        scope.setdefault("state", {})["correlation_id"] = correlation_id
        status, sent, began = 0, 0, time.perf_counter()

        async def send_observed(message: Message) -> None:
            nonlocal status, sent
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)[CORRELATION_HEADER] = correlation_id
            elif message["type"] == "http.response.body":
                sent += len(message.get("body", b""))
            await send(message)

        in_progress = metrics.REQUESTS_IN_PROGRESS.labels(self._service)
        in_progress.inc()
        parent = traces.traceparent_of({"traceparent": headers.get("traceparent")})
        try:
            with (
                logs.context(correlation_id=correlation_id),
                traces.span(f"HTTP {scope['method']}", parent, kind=traces.SERVER) as span,
            ):
                try:
                    await self._app(scope, receive, send_observed)
                except Exception as error:
                    span.fail(error)
                    problem = problem_of(error)
                    metrics.ERRORS.labels(self._service, problem.code).inc()
                    log.exception("request failed", method=scope["method"], path=scope["path"])
                    if status == 0:
                        await problem.response()(scope, receive, send_observed)
                finally:
                    took_s = time.perf_counter() - began
                    endpoint = _endpoint(scope)
                    span.set("http.request.method", scope["method"])
                    span.set("http.route", endpoint)
                    span.set("http.response.status_code", status)
                    metrics.REQUEST_DURATION.labels(self._service, endpoint, str(status)).observe(took_s)
                    (log.debug if endpoint in QUIET_ENDPOINTS else log.info)(
                        "request",
                        method=scope["method"],
                        path=scope["path"],
                        endpoint=endpoint,
                        status=status,
                        took_ms=round(took_s * 1000, 2),
                        bytes=sent,
                        client=scope["client"][0] if scope.get("client") else None,
                    )
        finally:
            in_progress.dec()


class Bounded:
    """Refuses with 503 what comes on top of as many requests, or bodies, as a process bears at a time.

    Args:
        app: what to wrap.
        requests: most at a time.
        body_bytes: most of all their bodies together, as far as they have arrived.
        unless: paths that aren't counted.
    """

    def __init__(self, app: ASGIApp, requests: int, body_bytes: int, unless: Collection[str] = ()) -> None:
        self._app = app
        self._most_requests, self._requests = requests, 0
        self._most_bytes, self._bytes = body_bytes, 0
        self._unless = frozenset(unless)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if scope["type"] != "http" or scope["path"] in self._unless:
            await self._app(scope, receive, send)
            return
        if self._requests >= self._most_requests:
            problem = Problem(503, "overloaded", f"{self._most_requests} requests are under way here; try again")
            metrics.ERRORS.labels("http", problem.code).inc()
            await problem.response()(scope, receive, send)
            return
        held, is_whole = 0, False

        async def receive_counted() -> Message:
            nonlocal held, is_whole
            message = await (receive() if is_whole else _unless_stalled(receive))
            if message["type"] == "http.request":
                size = len(message.get("body", b""))
                held += size
                self._bytes += size
                is_whole = not message.get("more_body")
                if self._bytes > self._most_bytes:
                    raise Problem(503, "overloaded", "the bodies of other requests take all the room; try again")
            return message

        self._requests += 1
        try:
            await self._app(scope, receive_counted, send)
        finally:
            self._requests -= 1
            self._bytes -= held


class BodyLimited:
    """Refuses bodies over a limit with 413, whether or not their length was announced.

    Args:
        app: what to wrap.
        limit: in bytes.
    """

    def __init__(self, app: ASGIApp, limit: int) -> None:
        self._app, self._limit = app, limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        announced = Headers(scope=scope).get("content-length", "")
        received = 0

        async def receive_limited() -> Message:
            nonlocal received
            message = await receive()
            if message["type"] == "http.request":
                received += len(message.get("body", b""))
                if received > self._limit:
                    if message.get("more_body"):
                        await self._drain(receive)
                    raise self._problem(received)
            return message

        if announced.isdecimal() and int(announced) > self._limit:
            await self._drain(receive)
            problem = self._problem(int(announced))
            metrics.ERRORS.labels("http", problem.code).inc()
            await problem.response()(scope, receive, send)
            return
        await self._app(scope, receive_limited, send)

    def _problem(self, size: int) -> Problem:
        return Problem(
            413,
            "oversized",
            f"the body has {size:,} bytes or more; at most {self._limit:,} are accepted: split the message",
            headers={"Connection": "close"},
        )

    async def _drain(self, receive: Receive) -> None:
        drained = 0
        with suppress(TimeoutError):
            async with asyncio.timeout(DRAIN_S):
                while drained < self._limit * DRAIN_FACTOR:
                    message = await receive()
                    drained += len(message.get("body", b""))
                    if message["type"] != "http.request" or not message.get("more_body"):
                        return


async def _unless_stalled(receive: Receive) -> Message:
    try:
        async with asyncio.timeout(STALLED_S):
            return await receive()
    except TimeoutError:
        detail = f"nothing of the body came for {STALLED_S:g} s"
        raise Problem(408, "body_stalled", detail, headers={"Connection": "close"}) from None


def _correlation_id(given: str | None) -> str:
    if given and len(given) <= MAX_CORRELATION_ID and given.isascii() and given.isprintable():
        return given
    return str(uuid_utils.uuid7())


def _endpoint(scope: Scope) -> str:
    if scope["path"] in QUIET_ENDPOINTS:
        return str(scope["path"])
    route = scope.get("route")
    path = getattr(route, "path", None)
    return path if isinstance(path, str) else "none"  # unknown paths share one label: there's no end of them
