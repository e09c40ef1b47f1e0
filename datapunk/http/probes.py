"""Health and metrics over HTTP, for the facade and for processes that have no other reason to listen."""

from __future__ import annotations

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from datapunk.health import Health, Report
from datapunk.telemetry import metrics


def probe_routes(health: Health) -> list[Route]:
    """`/health/live`, `/health/ready`, `/health/startup` (200 or 503, details as JSON), and `/metrics`."""

    async def live(request: Request) -> Response:
        return _response(health.live())

    async def ready(request: Request) -> Response:
        return _response(health.ready())

    async def startup(request: Request) -> Response:
        return _response(health.startup())

    async def exposition(request: Request) -> Response:
        return Response(metrics.exposition(), headers={"Content-Type": metrics.CONTENT_TYPE})

    return [
        Route("/health/live", live),
        Route("/health/ready", ready),
        Route("/health/startup", startup),
        Route("/metrics", exposition),
    ]


def probe_app(health: Health) -> Starlette:
    """An app with nothing but the probes, for a worker."""
    return Starlette(routes=probe_routes(health))


def _response(report: Report) -> Response:
    return Response(
        msgspec.json.encode(report.body),
        200 if report.is_ok else 503,
        {"Cache-Control": "no-store"},
        "application/json",
    )
