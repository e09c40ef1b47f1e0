"""Keeps a projection up to date: reads events from the store in order, applies them, waits for more.

The broker only wakes it: what is applied always comes from the store, by position. That makes catching up and
following live the same thing, needs no de-duplication, and goes on while the broker is away.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from time import perf_counter, time_ns
from typing import Any

import psycopg
from psycopg import AsyncConnection

from datapunk.ending import end
from datapunk.errors import OwnershipLost, RebuildUnderWay
from datapunk.generation import Generation, active
from datapunk.hook import Hook, nowhere
from datapunk.messages.registry import Registry
from datapunk.projection import Projection
from datapunk.rebuild import discard_leftovers, rebuild
from datapunk.resting import rest
from datapunk.settings import Settings
from datapunk.store.connection import connect
from datapunk.store.events import RecordedEvent
from datapunk.store.read import safe_position
from datapunk.store.statements import statement
from datapunk.telemetry import metrics, traces
from datapunk.telemetry.logs import get_logger

POLL_S = 1.0  # longest pause when nobody wakes it: events are found even without the broker
RETRY_FIRST_S, RETRY_MOST_S = 0.2, 30.0  # pauses after a failure

log = get_logger(__name__)


class Projector:
    """Runs one projection; whoever holds its lease runs this.

    Args:
        projection: what to keep up to date.
        registry: decodes events.
        settings: database and batch size.
        at: told where the projector is.
    """

    def __init__(self, projection: Projection, registry: Registry, settings: Settings, at: Hook = nowhere) -> None:
        self._projection = projection
        self._registry = registry
        self._settings = settings
        self._at = at
        self._wake = asyncio.Event()
        self._position = 0
        self._pause = RETRY_FIRST_S
        name = projection.full_name()
        self._lag_events = metrics.PROJECTION_LAG_EVENTS.labels(projection=name)
        self._lag_seconds = metrics.PROJECTION_LAG_SECONDS.labels(projection=name)
        self._applied = metrics.EVENTS_PROJECTED.labels(projection=name)
        self._duration = metrics.PROJECTION_BATCH_DURATION.labels(projection=name)

    def wake(self) -> None:
        """There may be new events."""
        self._wake.set()

    async def run(self, stop: asyncio.Event) -> None:
        """Apply events until told to stop; failures are recorded, shown by `projections list`, and retried."""
        try:
            while not stop.is_set():
                await self._session(stop)
                await rest(self._pause, stop)
                self._pause = min(self._pause * 2, RETRY_MOST_S)
        finally:  # from now on it's somebody else's to tell
            for metric in (metrics.PROJECTION_LAG_EVENTS, metrics.PROJECTION_LAG_SECONDS):
                with suppress(KeyError):
                    metric.remove(self._projection.full_name())

    async def _session(self, stop: asyncio.Event) -> None:
        """From connecting to the first thing that breaks."""
        name = self._projection.full_name()
        try:
            async with await connect(self._settings.database_url) as conn:
                await self._follow(conn, stop)
        except OwnershipLost as error:
            log.info("projection_moved", projection=name, detail=str(error))
        except (psycopg.OperationalError, psycopg.InterfaceError, OSError) as error:
            log.warning("database_away", projection=name, detail=str(error))
        except Exception as error:  # a handler's defect: it's shown, and tried again, never skipped
            log.exception("projection_failed", projection=name)
            metrics.ERRORS.labels(service="projector", error_type=type(error).__name__).inc()
            await self._record_failure(error)

    async def _follow(self, conn: AsyncConnection[Any], stop: asyncio.Event) -> None:
        generation = await self._of_this_version(conn, stop)
        await discard_leftovers(conn, generation)
        self._position = generation.position
        has_failed = True  # as far as the record goes: cleared by the first batch that works
        while not stop.is_set():
            self._wake.clear()
            if await self._is_paused(conn):
                await self._measure_lag(conn)
                await rest(POLL_S, stop, self._wake)
                continue
            start, start_ns = perf_counter(), time_ns()
            generation, applied = await generation.apply(
                conn, self._registry, self._settings.projection_batch, at=self._at
            )
            is_at_the_end = generation.position == self._position
            self._position = generation.position
            if applied:
                self._applied.inc(len(applied))
                self._duration.observe(perf_counter() - start)
                self._trace(applied, start_ns)
            if has_failed:
                await self._clear_failure(conn)
                has_failed, self._pause = False, RETRY_FIRST_S
            await self._measure_lag(conn)
            if is_at_the_end:
                await rest(POLL_S, stop, self._wake)

    async def _of_this_version(self, conn: AsyncConnection[Any], stop: asyncio.Event) -> Generation:
        """The serving generation, rebuilt first if older code built it.

        If newer code did, this process leaves it alone: it's part of a release that is on its way out.
        """
        while True:
            generation = await active(conn, self._projection)
            if generation.version == self._projection.version or stop.is_set():
                return generation
            name, versions = self._projection.full_name(), (generation.version, self._projection.version)
            if versions[0] > versions[1]:
                log.info("projection_is_newer", projection=name, built_by=versions[0], ours=versions[1])
                await rest(POLL_S, stop, self._wake)
                continue
            log.info("projection_rebuilding", projection=name, built_by=versions[0], ours=versions[1])
            await self._rebuild(stop)

    async def _rebuild(self, stop: asyncio.Event) -> None:
        """Rebuild, unless told to stop meanwhile; if somebody else does it already, look again later."""
        rebuilding = asyncio.create_task(rebuild(self._projection, self._registry, self._settings))
        stopping = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait({rebuilding, stopping}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopping.cancel()
            (outcome,) = await end([rebuilding])
        if isinstance(outcome, RebuildUnderWay):
            await rest(POLL_S, stop, self._wake)
        elif isinstance(outcome, Exception):
            raise outcome

    def _trace(self, events: Sequence[RecordedEvent], start_ns: int) -> None:
        if not traces.is_on():
            return
        for event in events:
            traceparent = event.metadata.get("traceparent")
            if traceparent is not None:  # a trace that begins with a projection would tell nothing
                traces.record(
                    f"project {event.type}",
                    traceparent,
                    start_ns,
                    kind=traces.CONSUMER,
                    attributes={
                        "datapunk.projection": self._projection.full_name(),
                        "datapunk.position": event.position,
                    },
                )

    async def _measure_lag(self, conn: AsyncConnection[Any]) -> None:
        behind = await safe_position(conn) - self._position
        self._lag_events.set(max(behind, 0))
        row = None
        if behind > 0:
            cursor = await conn.execute(statement("time_of_next_event"), {"position": self._position})
            row = await cursor.fetchone()
        self._lag_seconds.set((datetime.now(UTC) - row[0]).total_seconds() if row else 0)

    async def _is_paused(self, conn: AsyncConnection[Any]) -> bool:
        cursor = await conn.execute(statement("is_projection_paused"), {"projection": self._projection.full_name()})
        row = await cursor.fetchone()
        return bool(row and row[0])

    async def _record_failure(self, error: Exception) -> None:
        with suppress(psycopg.Error, OSError):
            async with await connect(self._settings.database_url) as conn:
                await conn.execute(
                    statement("set_projection_error"),
                    {"projection": self._projection.full_name(), "error": f"{type(error).__name__}: {error}"},
                )
                await self._measure_lag(conn)

    async def _clear_failure(self, conn: AsyncConnection[Any]) -> None:
        await conn.execute(
            statement("set_projection_error"), {"projection": self._projection.full_name(), "error": None}
        )
