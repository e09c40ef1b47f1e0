"""Time and ids as a test chooses them: the only fakes, because the real ones differ from run to run."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

START = datetime(2026, 1, 1, tzinfo=UTC)
_UUID7 = 0x0190_0000_0000_7000_8000_0000_0000_0000  # version and variant, and a time long ago


class Clock:
    """A clock that stands still until it's told to go on. For the times that messages carry.

    clock.now(); clock.advance(days=30)
    """

    def __init__(self, start: datetime = START) -> None:
        self._now = start

    def now(self) -> datetime:
        """The time, with its zone."""
        return self._now

    def advance(self, *, days: float = 0, hours: float = 0, minutes: float = 0, seconds: float = 0) -> datetime:
        """Go on by so much; returns the time then.

        Raises:
            ValueError: if that leads back.
        """
        by = timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
        if by < timedelta(0):
            raise ValueError(f"time doesn't run back, as by {by}")
        self._now += by
        return self._now


class Ids:
    """Message ids, the same ones in each run: valid version 7 UUIDs that end in 1, 2, 3 …"""

    def __init__(self) -> None:
        self._last = 0

    def next(self) -> UUID:
        """One that wasn't given out before."""
        self._last += 1
        return UUID(int=_UUID7 + self._last)
