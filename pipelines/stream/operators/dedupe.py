"""Duplicates dropped: of records that are the same by some fields, the first goes on."""

from __future__ import annotations

import heapq

from pipelines.stream.operators.record import UNFIT, Batch, Failed, Record, Sides, reason
from pipelines.stream.operators.state import Key, State
from pipelines.stream.operators.windows import GroupOf


class Dedupe:
    """Lets a record through unless one with the same fields came within a stretch of event time.

    Args:
        step: its number, for what fails.
        fields_of: what tells whether two records are the same.
        within: how long the first is remembered, in µs of the watermark, after its time.
        state: where it's remembered; times of forgetting are its windows.
    """

    def __init__(self, step: int, fields_of: GroupOf, within: int, state: State) -> None:
        self._step, self._fields_of, self._within = step, fields_of, within
        self._state = state
        self._until: dict[Key, int] = {}
        self._new: set[Key] = set()
        self._forgotten: list[tuple[int, Key]] = []
        self._ends: list[tuple[int, list[Key]]] = []  # a heap
        self._by_end: dict[int, list[Key]] = {}
        for until, key, _ in state.scan():
            self._remember(key, until)

    def process(self, batch: Batch, sides: Sides) -> Batch:
        """Handle a batch."""
        kept: list[Record] = []
        for record in batch.records:
            try:
                key = self._fields_of(record.value)
            except UNFIT as error:
                sides.failed.append(Failed(self._step, record, reason(error)))
                continue
            self._forget(record.watermark)
            if key not in self._until:
                kept.append(record)
                self._remember(key, max(record.time, record.watermark) + self._within)
                self._new.add(key)
        self._forget(batch.after)
        return batch.followed_by(kept)

    def flush(self) -> None:
        """Write what changed into the state."""
        for until, key in self._forgotten:
            self._state.delete(until, key)
        for key in self._new:
            self._state.set(self._until[key], key, True)
        self._forgotten.clear()
        self._new.clear()

    def _remember(self, key: Key, until: int) -> None:
        self._until[key] = until
        keys = self._by_end.get(until)
        if keys is None:
            keys = self._by_end[until] = []
            heapq.heappush(self._ends, (until, keys))
        keys.append(key)

    def _forget(self, watermark: int) -> None:
        while self._ends and self._ends[0][0] <= watermark:
            until, keys = heapq.heappop(self._ends)
            del self._by_end[until]
            for key in keys:
                del self._until[key]
                if key in self._new:
                    self._new.remove(key)
                else:
                    self._forgotten.append((until, key))
