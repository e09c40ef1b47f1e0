"""Tells a cache of events, once the projections that answers come from have applied them.

Not before: who then read would keep an answer from before the event, and nobody would take it away again. One process
does it for all. What it knows isn't kept: whoever begins, or isn't sure, begins an epoch, and the cache is empty.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from typing import Any

import psycopg
from psycopg import AsyncConnection

from datapunk.cache.cache import Away
from datapunk.cache.central import Central
from datapunk.generation import recorded
from datapunk.messages.registry import Registry
from datapunk.projection import QueryHandler, key_of
from datapunk.resting import rest
from datapunk.settings import Settings
from datapunk.store.connection import connect
from datapunk.store.read import read_all, safe_position
from datapunk.store.statements import statement
from datapunk.telemetry import metrics
from datapunk.telemetry.logs import get_logger

BATCH = 1000  # events read at a time
BEAT_S = 1.0  # longest pause: a cache that hears nothing for longer than that answers nothing (cache.central.FED_S)
LOOK_FIRST_S, LOOK_MOST_S = 0.005, 0.25  # pauses while projections have yet to apply what there is
AGAIN_S = 0.2  # pause between two epochs
RETRY_FIRST_S, RETRY_MOST_S = 0.5, 5.0  # pauses after a failure

log = get_logger(__name__)


class Feeder:
    """Tells the cache of one query. Run by whoever runs its module's followers.

    Args:
        handler: of the query; it says which events touch which answers.
        registry: decodes events.
        settings: where everything is.
    """

    def __init__(self, handler: QueryHandler, registry: Registry, settings: Settings) -> None:
        assert handler.cached is not None
        self.name = handler.query.message_type
        self._by_actor = {event.message_type: key for event, key in handler.cached.touched_by_actor.items()}
        self._by_event = {event.message_type: key for event, key in handler.cached.touched_by.items() if key}
        self._projections = [projection.full_name() for projection in handler.projections]
        self._registry = registry
        self._settings = settings
        self._wake = asyncio.Event()
        self._pause = RETRY_FIRST_S

    def wake(self) -> None:
        """There may be new events."""
        self._wake.set()

    async def run(self, stop: asyncio.Event) -> None:
        """Tell until told to stop. What fails begins anew."""
        while not stop.is_set():
            try:
                async with (
                    Central(self._settings.redis_url, self._settings.database_url, self.name) as central,
                    await connect(self._settings.database_url) as conn,
                ):
                    while not stop.is_set():
                        await self._tell(conn, central, stop)
                        await rest(AGAIN_S, stop)  # should two ever believe that they are the one
            except (psycopg.OperationalError, psycopg.InterfaceError, *Away) as error:
                log.warning("cache_not_told", cache=self.name, retry_in_s=self._pause, detail=str(error))
            except Exception as error:  # a defect, in a key for instance: shown, and tried again
                log.exception("cache_feeder_failed", cache=self.name, retry_in_s=self._pause)
                metrics.ERRORS.labels(service=f"{self.name}.cache", error_type=type(error).__name__).inc()
            await rest(self._pause, stop)
            self._pause = min(self._pause * 2, RETRY_MOST_S)

    async def _tell(self, conn: AsyncConnection[Any], central: Central, stop: asyncio.Event) -> None:
        """Of all events, until the epoch is over."""
        place = await self._place(conn)
        if place is None:  # its tables are yet to be made
            await rest(BEAT_S, stop, self._wake)
            self._wake.clear()
            return
        tables, position = place
        epoch, look_s = await central.begin(position), LOOK_FIRST_S
        while not stop.is_set():
            self._wake.clear()
            place = await self._place(conn)
            if place is None or place[0] != tables:  # rebuilt
                return
            keys, reached = await self._touched(conn, position, place[1])
            if not await central.advance(epoch, position, reached, keys):
                return
            look_s = LOOK_FIRST_S if reached > position else min(look_s * 2, LOOK_MOST_S)
            position, self._pause = reached, RETRY_FIRST_S
            if position < place[1]:
                continue
            if await safe_position(conn) > position:
                await rest(look_s, stop)
            else:
                await rest(BEAT_S, stop, self._wake)

    async def _touched(self, conn: AsyncConnection[Any], after: int, until: int) -> tuple[Collection[str], int]:
        """The keys whose answers changed, and up to which position that's known: no further than `until`."""
        keys: dict[str, None] = {}
        if self._by_event:
            events, until = await read_all(conn, after, BATCH, types=list(self._by_event), until=until)
            await self._registry.learn_of(conn, events)
            for event in events:
                keys[key_of(event.tenant, self._by_event[event.type](recorded(event, self._registry)))] = None
        if self._by_actor and until > after:
            asked = {"after": after, "until": until, "types": list(self._by_actor)}
            cursor = await conn.execute(statement("touched_streams"), asked)
            for tenant, stream, type in await cursor.fetchall():
                keys[key_of(tenant, self._by_actor[type](stream.partition("/")[2]))] = None
        return keys, until

    async def _place(self, conn: AsyncConnection[Any]) -> tuple[list[int], int] | None:
        """Which tables serve reads, and up to where all events are applied to them."""
        cursor = await conn.execute(statement("serving_tables"), {"projections": self._projections})
        row = await cursor.fetchone()
        return (row[0], row[1]) if row else None
