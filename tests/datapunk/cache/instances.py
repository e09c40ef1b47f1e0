"""Caches as several processes have them, a feeder of theirs, and a place they read from that tests hold up."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import uuid4

from datapunk.cache.cache import Cache
from datapunk.cache.central import Central
from tests.working import eventually


class Truth:
    """What is read: the value of each key, by position; and whether readers get it or wait."""

    def __init__(self) -> None:
        self.position = 0
        self.changes: dict[str, list[int]] = {}
        self.reads = 0
        self.may_read = asyncio.Event()
        self.may_read.set()

    def change(self, key: str) -> int:
        """A key has a new value, its position."""
        self.position += 1
        self.changes.setdefault(key, []).append(self.position)
        return self.position

    def at(self, key: str, position: int) -> int:
        """The value that a key had at a position."""
        return max((change for change in self.changes.get(key, []) if change <= position), default=0)

    async def read(self, key: str) -> bytes:
        """The present value, handed over once that may be."""
        self.reads += 1
        value = self.at(key, self.position)
        await self.may_read.wait()
        return b"%d" % value


class Told:
    """The feeder."""

    def __init__(self, central: Central, truth: Truth) -> None:
        self.central = central
        self._truth = truth
        self.epoch, self.position = "", 0

    async def begin(self) -> None:
        """Begin an epoch."""
        self.position = self._truth.position
        self.epoch = await self.central.begin(self.position)

    async def tell(self, *, updating: bool = False) -> None:
        """Of all that has changed."""
        changes = self._truth.changes.items()
        keys = [key for key, positions in changes if positions[-1] > self.position]
        update = {key: b"%d" % self._truth.at(key, self._truth.position) for key in keys} if updating else {}
        invalidate = [] if updating else keys
        assert await self.central.advance(self.epoch, self.position, self._truth.position, invalidate, update)
        self.position = self._truth.position


class Instances:
    """Made by `instances`."""

    def __init__(self, truth: Truth, told: Told, caches: list[Cache]) -> None:
        self.truth, self.told, self.caches = truth, told, caches

    async def ask(self, number: int, key: str, after: int = 0) -> int:
        """A key's value, of one of the caches."""
        return int(await self.caches[number].get(key, lambda: self.truth.read(key), after=after))

    async def heard(self) -> None:
        """All of them know what the feeder told."""

        async def know() -> bool:
            await self.told.tell()
            return all(each.local.position == self.told.position and each.local.epoch for each in self.caches)

        await eventually(know, "all have heard")


@asynccontextmanager
async def instances(redis_url: str, count: int = 2) -> AsyncIterator[Instances]:
    """So many caches of a database nobody else has, that have heard from their feeder."""
    database_url = f"postgresql://nowhere/{uuid4().hex}"
    truth = Truth()
    centrals = [Central(redis_url, database_url, "test") for _ in range(count + 1)]
    told = Told(centrals[-1], truth)
    caches = [Cache("test", central) for central in centrals[:-1]]
    for cache in caches:
        await cache.__aenter__()
    await told.begin()
    try:
        yield Instances(truth, told, caches)
    finally:
        for cache in caches:
            await cache.__aexit__()
        for central in centrals:
            await central.__aexit__()
