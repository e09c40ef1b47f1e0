"""A cache: answers by key, from memory, from Redis, or read where they come from; whichever is right and quickest."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from time import monotonic
from typing import Any
from uuid import uuid4

from redis.exceptions import RedisError

from datapunk.cache.central import FED_S, LEASE_S, Central, Look, News
from datapunk.cache.local import Local, Reading
from datapunk.ending import end
from datapunk.telemetry import metrics
from datapunk.telemetry.logs import get_logger

AWAY_S = 1.0  # for which Redis isn't asked again once it didn't answer
WAIT_FIRST_S, WAIT_MOST_S = 0.005, 0.1  # pauses while another process reads what we want
HITS = ("local", "central", "joined")
RATIO_OF = 100  # look-ups, over which cache_hit_ratio is

Read = Callable[[], Awaitable[bytes]]
Away = (RedisError, OSError, TimeoutError)

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Flight:
    """One reading of a key, for all in this process that ask for it meanwhile."""

    reading: Reading
    task: asyncio.Task[bytes]


class Cache:
    """One cache in this process. Use as an async context manager.

    What it answers reflects all events that this process was told of before it was asked, and with `after` all up to
    that position. Of all that ask for what isn't there, one reads. Without Redis, or when nobody tells the cache of
    events, it's read each time: slower, and never wrong.

    Args:
        name: of the cache, in metrics.
        central: in Redis; entered and left by whoever made it.

    Attributes:
        local: in memory.
    """

    def __init__(self, name: str, central: Central) -> None:
        self.name = name
        self.local = Local()
        self.central = central
        self._flights: dict[str, Flight] = {}
        self._away_until = 0.0
        self._is_away = False
        self._counts = {
            result: metrics.CACHE_LOOKUPS.labels(cache=name, result=result) for result in (*HITS, "read", "bypassed")
        }
        self._ratio = metrics.CACHE_HIT_RATIO.labels(cache=name)
        self._looks = self._hits = 0
        self._listening: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Cache:
        self._listening = asyncio.create_task(self._listen())
        return self

    async def __aexit__(self, *_: object) -> None:
        flights = [flight.task for flight in self._flights.values()]
        await end([*([self._listening] if self._listening else []), *flights])

    async def get(self, key: str, read: Read, *, after: int = 0) -> bytes:
        """The answer for a key.

        Args:
            key: what it's about.
            read: reads it where it comes from; the answer must reflect `after`, too.
            after: a position that the answer must reflect.
        """
        knows = self.local.knows(after)
        if knows and (value := self.local.get(key)) is not None:
            self._count("local")
            return value
        if after and not knows:
            return await self._fetch(key, read, after, None)
        flight = self._flights.get(key)
        if flight is None or flight.reading.is_void:
            flight = self._take_off(key, read, after)
        else:
            self._count("joined")
        return await asyncio.shield(flight.task)

    def _take_off(self, key: str, read: Read, after: int) -> Flight:
        reading = self.local.begin(key)
        flight = self._flights[key] = Flight(reading, asyncio.create_task(self._fly(key, read, after, reading)))
        flight.task.add_done_callback(_was_seen)
        return flight

    async def _fly(self, key: str, read: Read, after: int, reading: Reading) -> bytes:
        try:
            return await self._fetch(key, read, after, reading)
        finally:
            self.local.end(key, reading)
            if (flight := self._flights.get(key)) and flight.reading is reading:
                del self._flights[key]

    async def _fetch(self, key: str, read: Read, after: int, reading: Reading | None) -> bytes:
        lease, pause, until = uuid4().hex, WAIT_FIRST_S, monotonic() + LEASE_S
        while True:
            look = await self._look(key, lease, after)
            if look.what == "found":
                self._count("central")
                self._keep(key, reading, look.epoch, look.value)
                return look.value
            if look.what == "leased":
                self._count("read")
                return await self._read(key, read, look.epoch, lease, reading)
            if look.what == "behind" or monotonic() > until:
                self._count("bypassed")
                return await read()
            await asyncio.sleep(pause)
            pause = min(pause * 2, WAIT_MOST_S)

    async def _read(self, key: str, read: Read, epoch: str, lease: str, reading: Reading | None) -> bytes:
        try:
            value = await read()
        except BaseException:
            with suppress(*Away):
                await self.central.release(key, epoch, lease)
            raise
        try:
            if await self.central.fill(key, epoch, lease, value):
                self._keep(key, reading, epoch, value)
        except Away as error:
            await self._leave_alone(error)
        return value

    async def _look(self, key: str, lease: str, after: int) -> Look:
        if monotonic() < self._away_until:
            return Look("behind")
        try:
            look = await self.central.look(key, lease, after)
        except Away as error:
            await self._leave_alone(error)
            return Look("behind")
        self._is_away = False
        return look

    def _keep(self, key: str, reading: Reading | None, epoch: str, value: bytes) -> None:
        if reading is not None:
            self.local.keep(key, reading, epoch, value)

    async def _leave_alone(self, error: Exception) -> None:
        """Redis, for a while."""
        if not self._is_away:
            log.warning("cache_away", cache=self.name, detail=str(error))
        self._is_away, self._away_until = True, monotonic() + AWAY_S
        with suppress(*Away):
            await self.central.hang_up()

    def _count(self, result: str) -> None:
        self._counts[result].inc()
        self._looks += 1
        self._hits += result in HITS
        if self._looks == RATIO_OF:
            self._ratio.set(self._hits / self._looks)
            self._looks = self._hits = 0

    # --- the news -------------------------------------------------------------------------------------

    async def _listen(self) -> None:
        """Hear the news, for as long as the cache is used."""
        while True:
            try:
                async with self.central.redis.pubsub() as subscription:  # pyright: ignore[reportUnknownMemberType]
                    await subscription.subscribe(self.central.channel)  # pyright: ignore[reportUnknownMemberType]
                    await self._hear(subscription)
            except Away as error:
                if self.local.epoch:
                    log.info("cache_news_lost", cache=self.name, detail=str(error))
            self.local.forget()
            await asyncio.sleep(AWAY_S)

    async def _hear(self, subscription: Any) -> None:
        """Until nothing came for so long that the connection may be dead."""
        while True:
            message = await subscription.get_message(timeout=FED_S)
            if message is None:
                return
            if message["type"] == "message":
                self.local.hear(News.read(message["data"]))
            else:  # subscribed, perhaps again: what was published before wasn't heard
                self.local.forget()


def _was_seen(task: asyncio.Task[bytes]) -> None:
    """Its failure is told to those who wait; should they all have left, it's no defect."""
    if not task.cancelled():
        task.exception()
