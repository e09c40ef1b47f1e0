"""Lets each subscription have some of a process's threads and no more, so that a slow endpoint holds up no other."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Hashable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from random import uniform
from time import monotonic

NEW_WEIGHT = 0.2  # of the latest delivery in the average of how long they take
WAIT_S = 1.0  # for a lane, in a thread
LEAST_S, MOST_S = 0.5, 60.0  # until somebody who got none looks again


@dataclass(slots=True)
class Road:
    """The lanes of one subscription, who is on them or waits for one, and how long a delivery takes."""

    lanes: asyncio.Semaphore
    users: int = field(default=0)
    took_s: float | None = None


class Lanes:
    """Lanes of subscriptions; all calls come from one event loop.

    Args:
        width: most deliveries of a subscription at a time. As many again may wait.
    """

    def __init__(self, width: int) -> None:
        self._width = width
        self._roads: dict[Hashable, Road] = {}

    @asynccontextmanager
    async def of(self, subscription: Hashable) -> AsyncIterator[bool]:
        """Take a lane for as long as the block runs; False if none gets free soon."""
        road = self._roads.setdefault(subscription, Road(asyncio.Semaphore(self._width)))
        road.users += 1
        try:
            if not await self._taken(road):
                yield False
                return
            began = monotonic()
            try:
                yield True
            finally:
                took_s = monotonic() - began
                before_s = took_s if road.took_s is None else road.took_s
                road.took_s = before_s + (took_s - before_s) * NEW_WEIGHT
                road.lanes.release()
        finally:
            road.users -= 1
            if not road.users:
                del self._roads[subscription]

    def turn_s(self, subscription: Hashable, waiting: int) -> float:
        """When one of so many that wait should look again: somewhere within the time that they take together."""
        road = self._roads.get(subscription)
        all_s = waiting * ((road and road.took_s) or 0.0) / self._width
        return min(MOST_S, max(LEAST_S, uniform(0, all_s)))  # noqa: S311  # no secret

    async def _taken(self, road: Road) -> bool:
        if road.users > 2 * self._width:
            return False
        try:
            async with asyncio.timeout(WAIT_S):
                return await road.lanes.acquire()
        except TimeoutError:
            return False
