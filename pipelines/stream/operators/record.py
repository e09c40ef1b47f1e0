"""What goes from operator to operator: records, in batches that also tell how event time moved on."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field
from typing import Any, Protocol

import msgspec

Value = dict[str, Any]

START = -(1 << 62)  # µs: before any event, and no watermark yet
END = 1 << 62  # µs: after all events


class Record(msgspec.Struct, gc=False):
    """One record at one place of a pipeline.

    Attributes:
        key: of its message; nothing here depends on it.
        value: its fields.
        time: when it happened, in µs since 1970.
        offset: of the input record that brought it about.
        watermark: what was complete before it came, in µs: a record that is older is late.
        part: tells it from others of the same offset that only some ways of cutting batches bring out.
    """

    key: Any
    value: Value
    time: int
    offset: int
    watermark: int = START
    part: str = ""

    def made(self, value: Value) -> Record:
        """What a step made of it."""
        return Record(self.key, value, self.time, self.offset, self.watermark, self.part)


@dataclass(slots=True)
class Batch:
    """Consecutive records, and each move of the watermark while they came.

    How an input is cut into batches changes nothing about what comes out: whoever waits for a watermark finds here
    which offset moved it.

    Attributes:
        records: in order of their offsets.
        before: the watermark before the first record, in µs.
        moves: the watermark and the offset that moved it there, ascending.
    """

    records: list[Record] = field(default_factory=list[Record])
    before: int = START
    moves: list[tuple[int, int]] = field(default_factory=list[tuple[int, int]])

    @property
    def after(self) -> int:
        """The watermark after the last record."""
        return self.moves[-1][0] if self.moves else self.before

    def mover(self, watermark: int) -> tuple[int, int]:
        """The offset that moved the watermark so far or farther, and the watermark before that."""
        place = bisect_left(self.moves, (watermark, START))
        if place == len(self.moves):  # it was there before: a new version waits for less than the one before
            return (self.moves[-1][1] if self.moves else self.records[0].offset if self.records else 0), self.after
        return self.moves[place][1], self.moves[place - 1][0] if place else self.before

    def followed_by(self, records: list[Record], delay: int = 0) -> Batch:
        """What an operator hands on: its own records, and the same moves, later by a delay in µs."""
        if not delay:
            return Batch(records, self.before, self.moves)
        return Batch(records, self.before - delay, [(watermark - delay, offset) for watermark, offset in self.moves])


@dataclass(frozen=True, slots=True)
class Late:
    """A record that came after its window was done.

    Attributes:
        step: the number of the step that couldn't take it.
        record: itself.
        missed: starts of the windows that lack it, in µs; none where a join lacks it.
    """

    step: int
    record: Record
    missed: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Failed:
    """A record that a step couldn't handle.

    Attributes:
        step: the number of the step; -1 is the source.
        record: itself.
        reason: what was wrong.
    """

    step: int
    record: Record
    reason: str


@dataclass(slots=True)
class Sides:
    """What leaves a pipeline beside its results."""

    late: list[Late] = field(default_factory=list[Late])
    failed: list[Failed] = field(default_factory=list[Failed])


class Unfit(Exception):
    """A function of a step says that it can't handle a record, and why."""


UNFIT = (Unfit, KeyError)  # what reading a record raises; KeyError: it lacks a field that its schema has


def reason(error: Exception) -> str:
    """Why a record failed."""
    return f"the record has no field {error.args[0]!r}" if isinstance(error, KeyError) else str(error)


class Operator(Protocol):
    """One step. What it must remember is in its state after each `flush`."""

    def process(self, batch: Batch, sides: Sides) -> Batch:
        """Handle a batch."""
        ...

    def flush(self) -> None:
        """Write what changed into the state."""
        ...
