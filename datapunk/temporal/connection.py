"""Connecting to Temporal, so that it speaks of our messages and carries our traces."""

from __future__ import annotations

from typing import Any

from temporalio.client import Client, Interceptor
from temporalio.service import RPCError

from datapunk.errors import TemporalAway
from datapunk.messages.registry import Registry
from datapunk.settings import Settings
from datapunk.telemetry import traces
from datapunk.temporal.payloads import data_converter


async def connect(settings: Settings, registry: Registry) -> Client:
    """A client of the namespace that the settings name.

    Raises:
        TemporalAway: if nobody answers there.
    """
    try:
        return await Client.connect(
            settings.temporal_address,
            namespace=settings.temporal_namespace,
            data_converter=data_converter(registry),
            interceptors=_interceptors(),
        )
    except (RPCError, RuntimeError, OSError) as error:
        raise TemporalAway(
            f"Temporal doesn't answer at {settings.temporal_address}: {error}; is it up? (`datapunk status`)"
        ) from None


def _interceptors() -> list[Any]:
    tracer = traces.tracer()
    if tracer is None:
        return []
    from temporalio.contrib.opentelemetry import TracingInterceptor

    interceptor: Interceptor = TracingInterceptor(tracer)
    return [interceptor]
