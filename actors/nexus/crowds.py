"""Tells a flood of dead letters from a trickle: counts them by cause and minute."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic

WINDOW_S = 60.0
MOST_CAUSES = 10_000  # types come from strangers: beyond, all new causes count as one

Cause = tuple[str, str, str]  # module, message type, reason


class Crowds:
    """Counts in one process; several keepers each have their own count.

    Args:
        most: letters of one cause in a minute that are each handled by themselves.
        clock: in seconds.
    """

    def __init__(self, most: int, clock: Callable[[], float] = monotonic) -> None:
        self._most = most
        self._clock = clock
        self._since = clock()
        self._counts: dict[Cause, int] = {}

    def joins(self, cause: Cause) -> int:
        """Count one more letter; returns 0, or the how manieth beyond the most it is in this minute."""
        now = self._clock()
        if now - self._since >= WINDOW_S:
            self._since, self._counts = now, {}
        if cause not in self._counts and len(self._counts) >= MOST_CAUSES:
            cause = ("", "", "")
        count = self._counts[cause] = self._counts.get(cause, 0) + 1
        return max(0, count - self._most)
