"""Tumbling and hopping windows: aggregates by group over stretches of event time."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pipelines.stream.operators.aggregates import Aggregate
from pipelines.stream.operators.instants import instant
from pipelines.stream.operators.record import END, UNFIT, Batch, Failed, Late, Record, Sides, Unfit, Value, reason
from pipelines.stream.operators.state import Key, State, encoded

GroupOf = Callable[[Value], Key]


class _Open:
    """The aggregates of one window and group."""

    __slots__ = ("accumulators", "offset", "revision", "time", "watermark")

    def __init__(self, accumulators: list[list[Any]], revision: int = 0) -> None:
        self.accumulators = accumulators
        self.revision = revision
        self.offset = self.time = self.watermark = 0  # of the latest record


class Windows:
    """Aggregates over windows of one size; each record is in `size / every` of them.

    A window is done once the watermark is `lateness` past its end. Then its result goes out; what comes later is
    late. Open windows are in memory, and in the state after each `flush`.

    Args:
        step: its number, for what is late or fails.
        size: of a window, in µs.
        every: how far apart windows start, in µs: the size itself where they tumble.
        lateness: how much longer a window waits for records, in µs.
        group_by: names of the fields that results have in common with records.
        group_of: their values.
        aggregates: by the name of the field that each becomes.
        with_changes: let a result out for each change (the last of a batch), too, with `revision` and `is_final`.
        state: where open windows are kept.
    """

    def __init__(
        self,
        step: int,
        size: int,
        every: int,
        lateness: int,
        group_by: Sequence[str],
        group_of: GroupOf,
        aggregates: Mapping[str, Aggregate],
        with_changes: bool,
        state: State,
    ) -> None:
        self._step, self._size, self._every, self._lateness = step, size, every, lateness
        self._group_by, self._group_of = tuple(group_by), group_of
        self._aggregates = tuple(aggregates.items())
        self._start = [aggregate.start for aggregate in aggregates.values()]
        self._reads = [aggregate.read for aggregate in aggregates.values()]
        self._adds = [aggregate.add for aggregate in aggregates.values()]
        self._with_changes = with_changes
        self._state = state
        self._windows: dict[int, dict[Key, _Open]] = {}  # by end
        self._changed: dict[tuple[int, Key], _Open] = {}
        self._done: list[tuple[int, Key]] = []  # since the last flush
        self._restore()

    def process(self, batch: Batch, sides: Sides) -> Batch:
        """Handle a batch."""
        made: list[Record] = []
        changed: dict[tuple[int, Key], _Open] = {}
        size, every, lateness, windows = self._size, self._every, self._lateness, self._windows
        group_of, reads, adds = self._group_of, self._reads, self._adds
        for record in batch.records:
            watermark, time = record.watermark, record.time
            if watermark >= self._next:
                self._close(watermark, batch, made, sides, changed)
            try:
                group = group_of(record.value)
                values = [read(record.value) for read in reads]
            except UNFIT as error:
                sides.failed.append(Failed(self._step, record, reason(error)))
                continue
            end = time - time % every + size
            missed: list[int] = []
            while end > time:
                if end + lateness <= watermark:
                    missed.append(end - size)
                else:
                    groups = windows.get(end)
                    if groups is None:
                        groups = self._open(end)
                    window = groups.get(group)
                    if window is None:
                        window = groups[group] = _Open([start() for start in self._start])
                    for add, accumulator, value in zip(adds, window.accumulators, values):  # noqa: B905 - hot
                        if value is not None:
                            add(accumulator, value)
                    window.revision += 1
                    window.offset, window.time, window.watermark = record.offset, time, watermark
                    changed[end, group] = window
                end -= every
            if missed:
                sides.late.append(Late(self._step, record, tuple(reversed(missed))))
        if batch.after >= self._next:
            self._close(batch.after, batch, made, sides, changed)
        if self._with_changes:
            self._tell_changes(changed, made, sides)
        self._changed.update(changed)
        return batch.followed_by(made, lateness)

    def flush(self) -> None:
        """Write what changed into the state."""
        for end, group in self._done:
            self._state.delete(end, group)
        for (end, group), window in self._changed.items():
            saved = [
                aggregate.save(accumulator)
                for (_, aggregate), accumulator in zip(self._aggregates, window.accumulators, strict=True)
            ]
            self._state.set(end, group, [window.revision, saved])
        self._changed.clear()
        self._done.clear()

    def _restore(self) -> None:
        for end, group, (revision, saved) in self._state.scan():
            accumulators = [aggregate.load(each) for (_, aggregate), each in zip(self._aggregates, saved, strict=True)]
            self._windows.setdefault(end, {})[group] = _Open(accumulators, revision)
        self._ends = sorted(self._windows)  # a heap
        self._next = self._ends[0] + self._lateness if self._ends else END

    def _open(self, end: int) -> dict[Key, _Open]:
        groups = self._windows[end] = {}
        heapq.heappush(self._ends, end)
        self._next = self._ends[0] + self._lateness
        return groups

    def _close(
        self, watermark: int, batch: Batch, made: list[Record], sides: Sides, changed: dict[tuple[int, Key], _Open]
    ) -> None:
        """Let out what is done at this watermark: by end, then by group."""
        while self._ends and self._next <= watermark:
            end = heapq.heappop(self._ends)
            offset, before = batch.mover(end + self._lateness)
            for group, window in sorted(self._windows.pop(end).items(), key=lambda item: encoded(item[0])):
                changed.pop((end, group), None)
                self._changed.pop((end, group), None)
                self._done.append((end, group))
                # It comes before what follows in time: whoever aggregates results finds none of them late.
                self._tell(end, group, window, Record(None, {}, end - 1, offset, before - self._lateness), made, sides)
            self._next = self._ends[0] + self._lateness if self._ends else END

    def _tell_changes(self, changed: dict[tuple[int, Key], _Open], made: list[Record], sides: Sides) -> None:
        for (end, group), window in sorted(
            changed.items(), key=lambda item: (item[1].offset, item[0][0], encoded(item[0][1]))
        ):
            part = f"{end}/{encoded(group).hex()}/{window.revision}"
            record = Record(None, {}, end - 1, window.offset, window.watermark, part)
            self._tell(end, group, window, record, made, sides, is_final=False)

    def _tell(
        self,
        end: int,
        group: Key,
        window: _Open,
        record: Record,
        made: list[Record],
        sides: Sides,
        *,
        is_final: bool = True,
    ) -> None:
        record.key = group
        record.value = value = dict(zip(self._group_by, group, strict=True))
        value["window_start"], value["window_end"] = instant(end - self._size), instant(end)
        try:
            for (name, aggregate), accumulator in zip(self._aggregates, window.accumulators, strict=True):
                value[name] = aggregate.result(accumulator)
        except Unfit as error:
            sides.failed.append(Failed(self._step, record, f"{name}: {error}"))
            return
        if self._with_changes:
            value["revision"], value["is_final"] = window.revision, is_final
        made.append(record)
