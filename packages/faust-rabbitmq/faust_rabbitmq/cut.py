"""Which offsets and which changelog writes can be committed together.

A table and the offset of what it was computed from must be of the same moment: else a worker that takes over would
count an event twice, or not at all. So every write to a changelog is remembered with the event that caused it, and
what is committed is a consistent cut: of each changelog the longest beginning all of whose writes come from committed
events, and of each source no event that wrote beyond it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import NamedTuple

from faust.types import TP

__all__ = ["Cut", "Writes"]


class Cut(NamedTuple):
    """What to commit."""

    offsets: dict[TP, int]
    """The next offset to read, by source."""
    numbers: dict[TP, int]
    """The last write that counts, by changelog."""


class _Write:
    __slots__ = ("is_stored", "number", "offset", "source")

    def __init__(self, number: int, source: TP | None, offset: int) -> None:
        self.number, self.source, self.offset = number, source, offset
        self.is_stored = False


class Writes:
    """The writes to changelogs that aren't committed, in order."""

    def __init__(self) -> None:
        self._logs: dict[TP, deque[_Write]] = {}
        self._last: dict[TP, int] = {}

    def add(self, changelog: TP, source: TP | None, offset: int) -> _Write:
        """Number a write; `is_stored` is to be set when the broker has it.

        Args:
            changelog: what is written to.
            source: where the event that caused it came from; None: no event did.
            offset: of this event.
        """
        number = self._last.get(changelog, 0) + 1
        self._last[changelog] = number
        write = _Write(number, source, offset)
        log = self._logs.get(changelog)
        if log is None:
            log = self._logs[changelog] = deque()
        log.append(write)
        return write

    def cut(self, wanted: Mapping[TP, int], committed: Mapping[TP, int]) -> Cut:
        """The largest consistent cut.

        Args:
            wanted: the next offset to read, by source, when all that is acknowledged counts.
            committed: the same, as was committed.
        """
        limits = {**committed, **wanted}
        while True:
            numbers, lower = self._beginnings(limits)
            if not lower:
                break
            limits.update(lower)
        offsets = {tp: limits[tp] for tp in wanted if limits[tp] > committed.get(tp, -1)}
        return Cut(offsets, numbers)

    def _beginnings(self, limits: Mapping[TP, int]) -> tuple[dict[TP, int], dict[TP, int]]:
        numbers: dict[TP, int] = {}
        lower: dict[TP, int] = {}
        for changelog, log in self._logs.items():
            is_in = True
            for write in log:
                source = write.source
                counts = source is None or write.offset < limits.get(source, 0)
                if is_in and counts and write.is_stored:
                    numbers[changelog] = write.number
                    continue
                is_in = False
                if counts and source is not None:
                    lower[source] = min(write.offset, lower.get(source, write.offset))
        return numbers, lower

    def committed(self, numbers: Mapping[TP, int]) -> None:
        """Forget what was committed."""
        for changelog, number in numbers.items():
            log = self._logs[changelog]
            while log and log[0].number <= number:
                log.popleft()

    @property
    def uncommitted(self) -> int:
        """How many writes aren't committed."""
        return sum(len(log) for log in self._logs.values())

    def clear(self) -> None:
        """Begin anew, under another epoch."""
        self._logs.clear()
        self._last.clear()
