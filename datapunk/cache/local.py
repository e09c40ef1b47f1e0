"""The part of a cache that a process has in its own memory: small, and right for as long as it hears the news.

It counts only while news comes without a gap. A subscription that broke, an epoch that is another one, or news that
begins where the last didn't end: then all of it goes.
"""

from __future__ import annotations

from time import monotonic

from cachetools import TTLCache

from datapunk.cache.central import FED_S, News

SIZE = 8 * 1024 * 1024  # bytes of values, a process and cache
LARGEST = 64 * 1024  # bytes of a value; a larger one isn't kept here
LIFE_S = 60.0  # of a value


class Reading:
    """Somebody reads a key; `is_void` once news touches it: what is read may be from before."""

    __slots__ = ("is_void",)

    def __init__(self) -> None:
        self.is_void = False


class Local:
    """Values by key.

    Attributes:
        epoch: in which it knows what happened.
        position: up to where it does.
        heard_at: when it last heard, by the monotonic clock.
    """

    def __init__(self) -> None:
        self.epoch, self.position = "", 0
        self.heard_at = -FED_S
        self._values: TTLCache[str, bytes] = TTLCache(SIZE, LIFE_S, getsizeof=len)
        self._readings: dict[str, set[Reading]] = {}

    def knows(self, after: int = 0) -> bool:
        """Whether it was told lately, and of all events up to a position."""
        return bool(self.epoch) and self.position >= after and monotonic() - self.heard_at < FED_S

    def get(self, key: str) -> bytes | None:
        """A value, if it's here."""
        return self._values.get(key)

    def begin(self, key: str) -> Reading:
        """Somebody begins to read it."""
        reading = Reading()
        self._readings.setdefault(key, set()).add(reading)
        return reading

    def end(self, key: str, reading: Reading) -> None:
        """They have finished."""
        readings = self._readings.get(key, set())
        readings.discard(reading)
        if not readings:
            self._readings.pop(key, None)

    def keep(self, key: str, reading: Reading, epoch: str, value: bytes) -> None:
        """Keep what was read, unless it may be from before what is known here."""
        if not reading.is_void and epoch == self.epoch and len(value) <= LARGEST:
            self._values[key] = value

    def hear(self, news: News) -> None:
        """News came."""
        if (news.epoch, news.since) != (self.epoch, self.position):
            self.forget()
        self.epoch, self.position, self.heard_at = news.epoch, news.until, monotonic()
        for key in news.touched.cache_invalidate:
            self._touch(key)
        for key, value in news.touched.cache_update.items():
            self._touch(key)
            if len(value) <= LARGEST:
                self._values[key] = value

    def forget(self) -> None:
        """Some news may be missing."""
        self.epoch, self.position = "", 0
        self._values.clear()
        for key in list(self._readings):
            self._touch(key)

    def _touch(self, key: str) -> None:
        self._values.pop(key, None)
        for reading in self._readings.pop(key, ()):
            reading.is_void = True
