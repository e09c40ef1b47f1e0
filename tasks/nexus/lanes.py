"""Lets each subscription have some of a process's threads and no more, so that a slow endpoint holds up no other."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Hashable
from contextlib import asynccontextmanager
from random import uniform
from time import monotonic

NEW_WEIGHT = 0.2  # of the latest delivery in the average of how long they take
LEAST_S, MOST_S = 0.5, 60.0  # until somebody looks again whether there's a lane


class Lanes:
    """Lanes of subscriptions; all calls come from one event loop.

    Args:
        width: most deliveries of a subscription at a time.
    """

    def __init__(self, width: int) -> None:
        self._width = width
        self._taken: Counter[Hashable] = Counter()
        self._took_s: dict[Hashable, float] = {}

    @asynccontextmanager
    async def of(self, subscription: Hashable) -> AsyncIterator[int | None]:
        """Take a lane for as long as the block runs; None if all are taken."""
        if self._taken[subscription] >= self._width:
            yield None
            return
        self._taken[subscription] += 1
        began = monotonic()
        try:
            yield self._taken[subscription]
        finally:
            took_s = monotonic() - began
            before_s = self._took_s.get(subscription, took_s)
            self._took_s[subscription] = before_s + (took_s - before_s) * NEW_WEIGHT
            self._taken[subscription] -= 1
            if not self._taken[subscription]:
                del self._taken[subscription], self._took_s[subscription]

    def turn_s(self, subscription: Hashable, waiting: int) -> float:
        """When one of so many that wait should look again: somewhere within the time that they take together."""
        all_s = waiting * self._took_s.get(subscription, 0.0) / self._width
        return min(MOST_S, max(LEAST_S, uniform(0, all_s)))  # noqa: S311  # no secret
