"""The HTTP API, put together."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware
from fastapi_offline import FastAPIOffline

from datapunk.http import commands, events, problems, queries, schemas
from datapunk.http.facade import SERVICE, Facade
from datapunk.http.middleware import CORRELATION_HEADER, QUIET_ENDPOINTS, BodyLimited, Bounded, Observed
from datapunk.http.openapi import openapi_document
from datapunk.http.probes import probe_routes

MOST_BODIES = 16  # of the largest size, held at a time

DESCRIPTION = """Commands in, events out, tables to query.

Send a **command** to an actor, and wait for its outcome if you like. Ask a **query**; pass the `position` of
your command's outcome as `after_position` to see what you wrote. Follow **events** as they happen, or from
any position.

Bodies are plain JSON (`application/json`), Avro JSON (`application/avro+json`) or Avro binary
(`application/avro`). Errors are problem details (RFC 9457) with a stable `code`.
"""


def create_app(facade: Facade, *, origins: Sequence[str] = ()) -> FastAPI:
    """The app; its facade must be running while it serves.

    Args:
        facade: what the handlers work with.
        origins: web origins that may call from a browser (CORS); by default none.
    """
    # Its pages for people bring their scripts along: a platform of one's own may have no internet.
    app = FastAPIOffline(title="Datapunk", version=version("datapunk"), description=DESCRIPTION)
    app.state.facade = facade
    for module in (commands, queries, events, schemas):
        app.include_router(module.router)
    app.router.routes.extend(probe_routes(facade.health))
    problems.install(app)
    # The last one added is the outermost.
    app.add_middleware(BodyLimited, limit=facade.settings.max_message_bytes)
    app.add_middleware(
        Bounded,
        requests=facade.settings.http_requests,
        body_bytes=MOST_BODIES * facade.settings.max_message_bytes,
        unless=QUIET_ENDPOINTS | {events.PATH},  # probes must get through, and streams have a bound of their own
    )
    if origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(origins),
            allow_methods=["GET", "POST"],
            allow_headers=["*"],
            expose_headers=[CORRELATION_HEADER, "Location", "Retry-After", "Schema"],
        )
    app.add_middleware(Observed, service=SERVICE)

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = openapi_document(app, facade.catalogue)
        return app.openapi_schema

    app.openapi = openapi
    return app
