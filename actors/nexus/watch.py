"""Tells the metrics how many dead letters wait, and for what."""

from __future__ import annotations

import asyncio

import psycopg

from datapunk.hook import Hook, nowhere
from datapunk.messages.registry import Registry
from datapunk.resting import rest
from datapunk.settings import Settings
from datapunk.store.connection import connect
from datapunk.telemetry import metrics
from datapunk.telemetry.logs import get_logger

EVERY_S = 15.0

log = get_logger(__name__)


class Watch:
    """Runs in each worker of Nexus; all of them tell the same.

    Args:
        settings: the database.
        registry: not needed.
        at: not told.
    """

    def __init__(self, settings: Settings, registry: Registry, at: Hook = nowhere) -> None:
        self._settings = settings

    async def run(self, stop: asyncio.Event) -> None:
        """Look from time to time, until told to stop."""
        while not stop.is_set():
            try:
                await measure(self._settings)
            except (psycopg.Error, OSError) as error:  # among others while the projection is being made
                log.info("dead_letters_not_counted", detail=str(error))
            await rest(EVERY_S, stop)


async def measure(settings: Settings) -> None:
    """Count those that are neither resolved nor discarded."""
    async with await connect(settings.database_url) as conn:
        cursor = await conn.execute(
            "select module, reason, lower(state), count(*) from nexus_dead_letters.dead_letters"
            " where state in ('Parked', 'Retrying', 'Redriven') group by module, reason, state"
        )
        counts = await cursor.fetchall()
    metrics.DEAD_LETTERS_OPEN.clear()
    for module, reason, state, count in counts:
        metrics.DEAD_LETTERS_OPEN.labels(module=module, reason=reason, state=state).set(count)
