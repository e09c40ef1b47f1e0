"""Joins: records with a table, whose latest row counts, or with another stream, by time."""

from __future__ import annotations

from collections.abc import Callable

from pipelines.stream.operators.record import UNFIT, Batch, Failed, Late, Record, Sides, Value, reason
from pipelines.stream.operators.state import Key, State
from pipelines.stream.operators.windows import GroupOf

Combine = Callable[[Value, Value | None], Value]


class TableJoin:
    """Adds to each record the row of its key, as it is when the record comes.

    Args:
        step: its number, for what fails.
        key_of: the key to look up, of a record.
        row_key_of: the key of a row.
        combine: a record's value with a row's.
        keeps_unmatched: let records without a row through, with nulls.
        state: where rows are.
    """

    def __init__(
        self, step: int, key_of: GroupOf, row_key_of: GroupOf, combine: Combine, keeps_unmatched: bool, state: State
    ) -> None:
        self._step, self._key_of, self._row_key_of = step, key_of, row_key_of
        self._combine, self._keeps_unmatched = combine, keeps_unmatched
        self._state = state

    def process(self, batch: Batch, sides: Sides) -> Batch:
        """Handle a batch of records."""
        made: list[Record] = []
        rows: dict[Key, Value | None] = {}
        for record in batch.records:
            try:
                key = self._key_of(record.value)
            except UNFIT as error:
                sides.failed.append(Failed(self._step, record, reason(error)))
                continue
            if key not in rows:
                rows[key] = None if None in key else self._state.get(0, key)
            row = rows[key]
            if row is not None or self._keeps_unmatched:
                made.append(record.made(self._combine(record.value, row)))
        return batch.followed_by(made)

    def absorb(self, batch: Batch, sides: Sides) -> list[Record]:
        """Take rows in; a later one replaces that of the same key. Nothing comes of it."""
        for record in batch.records:
            try:
                self._state.set(0, self._row_key_of(record.value), record.value)
            except UNFIT as error:
                sides.failed.append(Failed(self._step, record, reason(error)))
        return []

    def flush(self) -> None:
        """Rows are in the state already."""


class StreamJoin:
    """Pairs records of two streams that have the same key and happened within some time of each other.

    A pair's time is that of its later record. Records wait in memory, and in the state after each `flush`, until the
    watermark says that nothing can match them any more.

    Args:
        step: its number, for what is late or fails.
        key_of: the key of a record.
        other_key_of: the key of a record of the other stream.
        combine: a record's value with the other's.
        within: at most so far apart, in µs.
        state: where records wait.
    """

    def __init__(
        self, step: int, key_of: GroupOf, other_key_of: GroupOf, combine: Combine, within: int, state: State
    ) -> None:
        self._step, self._within, self._combine = step, within, combine
        self._keys_of = (key_of, other_key_of)
        self._state = state
        self._waiting: tuple[dict[Key, list[tuple[int, Value]]], ...] = ({}, {})
        self._changed: set[tuple[int, Key]] = set()
        self._swept = 0
        for _, (side, *key), waiting in state.scan():
            self._waiting[side][tuple(key)] = [(time, value) for time, value in waiting]

    def process(self, batch: Batch, sides: Sides) -> Batch:
        """Handle a batch of the pipeline's own records."""
        made = self._match(batch, 0, sides)
        return batch.followed_by(made)

    def absorb(self, batch: Batch, sides: Sides) -> list[Record]:
        """Handle a batch of the other stream."""
        return self._match(batch, 1, sides)

    def flush(self) -> None:
        """Write what changed into the state."""
        for side, key in self._changed:
            waiting = self._waiting[side].get(key)
            if waiting:
                self._state.set(0, (side, *key), waiting)
            else:
                self._state.delete(0, (side, *key))
        self._changed.clear()

    def _match(self, batch: Batch, side: int, sides: Sides) -> list[Record]:
        made: list[Record] = []
        mine, theirs, key_of, within = self._waiting[side], self._waiting[1 - side], self._keys_of[side], self._within
        for record in batch.records:
            try:
                key = key_of(record.value)
            except UNFIT as error:
                sides.failed.append(Failed(self._step, record, reason(error)))
                continue
            if None in key:
                continue  # null equals nothing
            time, watermark = record.time, record.watermark
            if time + within < watermark:
                sides.late.append(Late(self._step, record))
                continue
            for other_time, other in theirs.get(key, ()):
                # What the watermark has passed is gone, be it swept already or not.
                if abs(other_time - time) <= within and other_time + within >= watermark:
                    value = self._combine(record.value, other) if side == 0 else self._combine(other, record.value)
                    pair = record.made(value)
                    pair.time = max(time, other_time)
                    made.append(pair)
            mine.setdefault(key, []).append((time, record.value))
            self._changed.add((side, key))
        self._sweep(batch.after)
        return made

    def _sweep(self, watermark: int) -> None:
        """Forget what can't match any more; now and then, since it looks at everything."""
        if watermark < self._swept + self._within:
            return
        self._swept = watermark
        for side, waiting in enumerate(self._waiting):
            for key, records in list(waiting.items()):
                kept = [(time, value) for time, value in records if time + self._within >= watermark]
                if len(kept) < len(records):
                    self._changed.add((side, key))
                    if kept:
                        waiting[key] = kept
                    else:
                        del waiting[key]
