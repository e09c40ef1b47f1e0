"""Session windows: aggregates by group over stretches of activity, parted by gaps."""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from typing import Any

from pipelines.stream.operators.aggregates import Aggregate
from pipelines.stream.operators.instants import instant
from pipelines.stream.operators.record import UNFIT, Batch, Failed, Late, Record, Sides, Unfit, Value, reason
from pipelines.stream.operators.state import Key, State, encoded
from pipelines.stream.operators.windows import GroupOf


class _Session:
    """A stretch of activity of one group: its first and its last record's time, in µs, and its aggregates."""

    __slots__ = ("accumulators", "first", "last")

    def __init__(self, first: int, last: int, accumulators: list[list[Any]]) -> None:
        self.first = first
        self.last = last
        self.accumulators = accumulators


class Sessions:
    """Aggregates over sessions: records of a group are in the same one if no gap between them is as long as `gap`.

    A session ends `gap` after its last record, and is done once the watermark is `lateness` past that. A record that
    comes between two sessions that aren't done makes one of them.

    Args:
        step: its number, for what is late or fails.
        gap: without a record, in µs, that ends a session.
        lateness: how much longer a session waits for records, in µs.
        group_by: names of the fields that results have in common with records.
        group_of: their values.
        aggregates: by the name of the field that each becomes.
        state: where open sessions are kept.
    """

    def __init__(
        self,
        step: int,
        gap: int,
        lateness: int,
        group_by: Sequence[str],
        group_of: GroupOf,
        aggregates: Mapping[str, Aggregate],
        state: State,
    ) -> None:
        self._step, self._gap, self._lateness = step, gap, lateness
        self._group_by, self._group_of = tuple(group_by), group_of
        self._aggregates = tuple(aggregates.items())
        self._state = state
        self._sessions: dict[Key, list[_Session]] = {}  # of a group in order of time
        self._ends: list[
            tuple[int, bytes, Key]
        ] = []  # a heap; a session that grew has a wrong entry, which is passed over
        self._changed: set[Key] = set()
        for _, group, saved in state.scan():
            self._sessions[group] = [_Session(first, last, self._load(kept)) for first, last, kept in saved]
            for session in self._sessions[group]:
                self._await(session, group)

    def process(self, batch: Batch, sides: Sides) -> Batch:
        """Handle a batch."""
        made: list[Record] = []
        for record in batch.records:
            if self._ends and self._ends[0][0] + self._lateness <= record.watermark:
                self._close(record.watermark, batch, made, sides)
            try:
                group = self._group_of(record.value)
                values = [aggregate.read(record.value) for _, aggregate in self._aggregates]
            except UNFIT as error:
                sides.failed.append(Failed(self._step, record, reason(error)))
                continue
            self._add(record, group, values, sides)
        self._close(batch.after, batch, made, sides)
        return batch.followed_by(made, self._gap + self._lateness)

    def flush(self) -> None:
        """Write what changed into the state."""
        for group in self._changed:
            sessions = self._sessions.get(group)
            if sessions:
                self._state.set(0, group, [[each.first, each.last, self._save(each)] for each in sessions])
            else:
                self._state.delete(0, group)
        self._changed.clear()

    def _add(self, record: Record, group: Key, values: Sequence[Any], sides: Sides) -> None:
        time = record.time
        sessions = self._sessions.get(group, [])
        near = [each for each in sessions if each.first - self._gap < time < each.last + self._gap]
        if not near:
            if time + self._gap + self._lateness <= record.watermark:
                sides.late.append(Late(self._step, record, (time,)))
                return
            near = [_Session(time, time, [aggregate.start() for _, aggregate in self._aggregates])]
            sessions = self._sessions[group] = sorted([*sessions, *near], key=lambda each: each.first)
        session, *others = near
        for other in others:  # there's one at most: two others would be near each other
            for (_, aggregate), mine, theirs in zip(
                self._aggregates, session.accumulators, other.accumulators, strict=True
            ):
                aggregate.merge(mine, theirs)
            session.last = other.last
            sessions.remove(other)
        session.first, session.last = min(session.first, time), max(session.last, time)
        for (_, aggregate), accumulator, value in zip(self._aggregates, session.accumulators, values, strict=True):
            if value is not None:
                aggregate.add(accumulator, value)
        self._changed.add(group)
        self._await(session, group)

    def _await(self, session: _Session, group: Key) -> None:
        heapq.heappush(self._ends, (session.last + self._gap, encoded(group), group))

    def _close(self, watermark: int, batch: Batch, made: list[Record], sides: Sides) -> None:
        """Let out what is done at this watermark: by end."""
        while self._ends and self._ends[0][0] + self._lateness <= watermark:
            end, _, group = heapq.heappop(self._ends)
            sessions = self._sessions.get(group, [])
            session = next((each for each in sessions if each.last + self._gap == end), None)
            if session is None:
                continue  # it grew, or is told already
            sessions.remove(session)
            if not sessions:
                del self._sessions[group]
            self._changed.add(group)
            offset, before = batch.mover(end + self._lateness)
            self._tell(session, group, offset, before - self._gap - self._lateness, made, sides)

    def _tell(
        self, session: _Session, group: Key, offset: int, watermark: int, made: list[Record], sides: Sides
    ) -> None:
        value: Value = dict(zip(self._group_by, group, strict=True))
        value["window_start"], value["window_end"] = instant(session.first), instant(session.last + self._gap)
        record = Record(group, value, session.last, offset, watermark)
        try:
            for (name, aggregate), accumulator in zip(self._aggregates, session.accumulators, strict=True):
                value[name] = aggregate.result(accumulator)
        except Unfit as error:
            sides.failed.append(Failed(self._step, record, f"{name}: {error}"))
            return
        made.append(record)

    def _save(self, session: _Session) -> list[Any]:
        return [
            aggregate.save(each) for (_, aggregate), each in zip(self._aggregates, session.accumulators, strict=True)
        ]

    def _load(self, saved: list[Any]) -> list[list[Any]]:
        return [aggregate.load(each) for (_, aggregate), each in zip(self._aggregates, saved, strict=True)]
