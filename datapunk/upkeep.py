"""What must be done from time to time so that nothing grows for ever; each act is a function of its own.

`Upkeep` does what commands can't do without for long, in every process that handles them, so that it happens where
nobody runs workflows, too: each tries, at a moment of its own; whoever comes while another one is at it goes away
again, or waits and finds it done. The rest is scheduled at Temporal, by `datapunk.temporal.upkeep`.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from datetime import timedelta

import psycopg

from datapunk.resting import rest
from datapunk.settings import Settings
from datapunk.store.connection import connect
from datapunk.store.inbox import prune
from datapunk.store.partitions import make_partitions
from datapunk.store.statements import statement
from datapunk.store.vault import Vault, has_secrets
from datapunk.telemetry.logs import get_logger

EVERY_S = 3600.0
# There's room for at least 8 million events ahead (migrations/0013): a writer would need more than that in this time.
ROOM_EVERY_S = 10.0
JITTER = 0.2  # share by which a pause is longer or shorter, so that processes started together don't come together
# Negative, and so outside the range of keys that readers look at: see migrations/0002.
PRUNING_LOCK = -4451

log = get_logger(__name__)


async def prune_inbox(settings: Settings) -> int | None:
    """Forget commands older than `inbox_retention_days`.

    Returns:
        How many; none if another process is at it.
    """
    async with await connect(settings.database_url) as conn:
        cursor = await conn.execute(statement("try_lock"), {"key": PRUNING_LOCK})
        if await cursor.fetchone() != (True,):
            return None
        return await prune(conn, timedelta(days=settings.inbox_retention_days))  # the lock ends with the connection


async def analyze_events(settings: Settings) -> None:
    """Count what is in the event store, for Postgres's planner."""
    async with await connect(settings.database_url) as conn:
        await conn.execute(statement("analyze_events"))


async def reseal_secrets(settings: Settings) -> int:
    """Encrypt with the first key whatever another one encrypted.

    Returns:
        How many secrets that were.

    Raises:
        ConfigurationError: if there are secrets, and no key is here.
        SecretUnreadable: if the key of some isn't here; all others are resealed.
    """
    async with await connect(settings.database_url) as conn:
        return await Vault.of(settings).reseal(conn) if await has_secrets(conn) else 0


async def make_room(settings: Settings) -> int:
    """Make partitions of events ahead of those who append.

    Returns:
        How many were made.
    """
    async with await connect(settings.database_url) as conn:
        return await make_partitions(conn)


class Upkeep:
    """Forgets old commands, about once in `every_s`, and makes room for events, about once in `room_every_s`."""

    def __init__(self, settings: Settings, every_s: float = EVERY_S, room_every_s: float = ROOM_EVERY_S) -> None:
        self._settings = settings
        self._every_s = every_s
        self._room_every_s = room_every_s

    async def run(self, stop: asyncio.Event) -> None:
        """Go on until told to stop; what fails is done the next time."""
        async with asyncio.TaskGroup() as group:
            group.create_task(_again(self._prune, self._every_s, stop))
            group.create_task(_again(self._make_room, self._room_every_s, stop))

    async def _prune(self) -> None:
        forgotten = await prune_inbox(self._settings)
        if forgotten:
            log.info("inbox_pruned", commands=forgotten, older_than_days=self._settings.inbox_retention_days)

    async def _make_room(self) -> None:
        made = await make_room(self._settings)
        if made:
            log.info("partitions_made", partitions=made)


async def _again(act: Callable[[], Awaitable[None]], every_s: float, stop: asyncio.Event) -> None:
    pause = random.uniform(0, every_s)  # noqa: S311  # no secret
    while True:
        await rest(pause, stop)
        if stop.is_set():
            return
        try:
            await act()
        except (psycopg.Error, OSError) as error:
            log.warning("upkeep_failed", detail=str(error))
        pause = every_s * random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311
