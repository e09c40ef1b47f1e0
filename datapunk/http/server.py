"""Runs an app with uvicorn inside a process of ours, until it's told to stop."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import Any

import uvicorn
from starlette.types import ASGIApp

from datapunk.errors import ConfigurationError
from datapunk.health import Health
from datapunk.http.app import create_app
from datapunk.http.facade import Facade
from datapunk.http.probes import probe_app
from datapunk.module import Module
from datapunk.settings import Settings
from datapunk.telemetry import logs

GRACE_S = 10  # for requests under way when told to stop
BACKLOG = 1024  # connections not yet accepted

log = logs.get_logger(__name__)


async def serve(
    settings: Settings,
    modules: Sequence[Module],
    stop: asyncio.Event,
    *,
    prepared: asyncio.Event | None = None,
    origins: Sequence[str] = (),
    listening: asyncio.Future[int] | None = None,
) -> None:
    """Serve the HTTP API; on `stop` end the streams of events, finish the requests under way, and return.

    Args:
        settings: where to listen (port 0: a free one), and where the servers are.
        modules: whose messages are offered.
        stop: set to stop.
        prepared: set once the servers have what the modules need: until then it's not ready; None: they have it.
        origins: web origins that may call from a browser (CORS); by default none.
        listening: told the port once it's open.

    Raises:
        ConfigurationError: if the address can't be listened at.
    """
    facade = Facade(settings, modules, prepared)
    app = create_app(facade, origins=origins)
    async with facade.running():
        await run_app(
            app,
            settings.http_host,
            settings.http_port,
            stop,
            before_stop=facade.tail.close,
            listening=listening,
        )


async def serve_probes(
    health: Health, host: str, port: int, stop: asyncio.Event, *, listening: asyncio.Future[int] | None = None
) -> None:
    """Serve only health and metrics, for a worker; `health.checking()` is the caller's.

    Raises:
        ConfigurationError: if the address can't be listened at.
    """
    await run_app(probe_app(health), host, port, stop, listening=listening)


async def run_app(
    app: ASGIApp,
    host: str,
    port: int,
    stop: asyncio.Event,
    *,
    before_stop: Any = None,
    listening: asyncio.Future[int] | None = None,
) -> None:
    """Serve any ASGI app until told to stop.

    Args:
        app: what to serve.
        host: address to listen at.
        port: port; 0 for a free one.
        stop: set to stop.
        before_stop: awaited before connections are waited for; ends what would go on for ever.
        listening: told the port once it's open.

    Raises:
        ConfigurationError: if the address can't be listened at.
    """
    listener = _listen(host, port)
    config = uvicorn.Config(
        app,
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=GRACE_S,
        ws="none",
    )
    server = _Server(config)
    serving = asyncio.create_task(server.serve(sockets=[listener]), name="http")
    stopping = asyncio.create_task(stop.wait())
    try:
        bound = int(listener.getsockname()[1])
        log.info("listening", url=f"http://{host}:{bound}")
        if listening is not None and not listening.done():
            listening.set_result(bound)
        await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if before_stop is not None:
            await before_stop()
        server.should_exit = True
        await serving
    finally:
        stopping.cancel()
        if not serving.done():
            server.should_exit = server.force_exit = True
            await asyncio.wait({serving})
        listener.close()


class _Server(uvicorn.Server):
    """Leaves signals to the process that it's a part of."""

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        yield


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise ConfigurationError(
            f"can't listen at {host}:{port}: {error.strerror or error}; "
            "stop what does, or choose another port with DATAPUNK_HTTP_PORT (or DATAPUNK_PROBE_PORT)"
        ) from None
    listener.setblocking(False)
    return listener
