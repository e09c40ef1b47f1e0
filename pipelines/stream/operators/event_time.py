"""Event time: when each record happened, and up to when all is there."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from pipelines.stream.operators.record import END, START, UNFIT, Batch, Failed, Record, Sides, Value, reason
from pipelines.stream.operators.state import State

TimeOf = Callable[[Value], int]


class Watermarks:
    """The watermark of a partition: the least of its inputs' watermarks, and never less than it was.

    Args:
        inputs: names of all inputs. One that brings nothing holds the others back until `advance` is called for it.
        out_of_order: by how much records may come out of order, in µs: an input's watermark is its latest time
            less this.
        state: where it's kept.
    """

    def __init__(self, inputs: Sequence[str], out_of_order: int, state: State) -> None:
        self._out_of_order = out_of_order
        self._state = state
        self._latest = dict.fromkeys(inputs, START)
        for _, (name,), latest in state.scan():
            if name in self._latest:
                self._latest[name] = latest
        self._is_changed = False

    @property
    def watermark(self) -> int:
        """No record older than this is expected, in µs."""
        return min(self._latest.values())

    def stamp(self, name: str, records: Iterable[Record], time_of: TimeOf | None, sides: Sides) -> Batch:
        """Make a batch of records of one input.

        Args:
            name: of the input.
            records: in order of their offsets.
            time_of: reads a record's time from its value; none: it's in the record already.
            sides: take the records that have no time.
        """
        latest, bound = self._latest[name], self._out_of_order
        rest = min((value for each, value in self._latest.items() if each != name), default=END)
        watermark = min(latest, rest)
        batch = Batch(before=watermark)
        kept, moves = batch.records, batch.moves
        for record in records:
            if time_of is not None:
                try:
                    record.time = time_of(record.value)
                except UNFIT as error:
                    sides.failed.append(Failed(-1, record, f"event_time: {reason(error)}"))
                    continue
            record.watermark = watermark
            kept.append(record)
            if record.time - bound > latest:
                latest = record.time - bound
                if latest > watermark and rest > watermark:
                    watermark = min(latest, rest)
                    moves.append((watermark, record.offset))
        if latest != self._latest[name]:
            self._latest[name] = latest
            self._is_changed = True
        return batch

    def advance(self, name: str, watermark: int, offset: int) -> Batch:
        """An input says itself that it's complete up to there: it's idle, or it ended (`END`)."""
        before = self.watermark
        self._latest[name] = max(self._latest[name], watermark)
        self._is_changed = True
        after = self.watermark
        return Batch([], before, [(after, offset)] if after > before else [])

    def flush(self) -> None:
        """Write what changed into the state."""
        if self._is_changed:
            for name, latest in self._latest.items():
                self._state.set(0, (name,), latest)
            self._is_changed = False
