"""Steps that look at one record at a time, and remember nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from pipelines.stream.operators.record import UNFIT, Batch, Failed, Record, Sides, Unfit, Value, reason


class Filter:
    """Keeps the records of which a condition holds.

    Args:
        step: its number, for what fails.
        condition: of a record's fields; raises `Unfit`.
    """

    def __init__(self, step: int, condition: Callable[[Value], Any]) -> None:
        self._step = step
        self._condition = condition

    def process(self, batch: Batch, sides: Sides) -> Batch:
        """Handle a batch."""
        condition = self._condition
        kept: list[Record] = []
        for record in batch.records:
            try:
                if condition(record.value):
                    kept.append(record)
            except UNFIT as error:
                sides.failed.append(Failed(self._step, record, reason(error)))
        return batch.followed_by(kept)

    def flush(self) -> None:
        """There's nothing to write."""


class Map:
    """Makes one record, or any number, of each: maps, flat maps and functions of the user's.

    Args:
        step: its number, for what fails.
        function: the values that become of a record's value; raises `Unfit`.
    """

    def __init__(self, step: int, function: Callable[[Value], Sequence[Value]]) -> None:
        self._step = step
        self._function = function

    def process(self, batch: Batch, sides: Sides) -> Batch:
        """Handle a batch."""
        function = self._function
        made: list[Record] = []
        for record in batch.records:
            try:
                values = function(record.value)
            except UNFIT as error:
                sides.failed.append(Failed(self._step, record, reason(error)))
                continue
            made += [record.made(value) for value in values]
        return batch.followed_by(made)

    def flush(self) -> None:
        """There's nothing to write."""


class Enrich:
    """Adds to each record what a query answers about it.

    Args:
        step: its number, for what fails.
        question: what to ask, of a record's value; raises `Unfit`.
        ask: the answers to many questions, in their order; `Unfit` in place of one that failed. Caching is its own.
        name: the field that the answer becomes.
    """

    def __init__(
        self,
        step: int,
        question: Callable[[Value], Value],
        ask: Callable[[Sequence[Value]], Sequence[Value | Unfit | None]],
        name: str,
    ) -> None:
        self._step = step
        self._question = question
        self._ask = ask
        self._name = name

    def process(self, batch: Batch, sides: Sides) -> Batch:
        """Handle a batch: all its questions are asked at once."""
        asking: list[tuple[Record, Value]] = []
        for record in batch.records:
            try:
                asking.append((record, self._question(record.value)))
            except UNFIT as error:
                sides.failed.append(Failed(self._step, record, reason(error)))
        made: list[Record] = []
        answers = self._ask([question for _, question in asking]) if asking else []
        for (record, _), answer in zip(asking, answers, strict=True):
            if isinstance(answer, Unfit):
                sides.failed.append(Failed(self._step, record, str(answer)))
            else:
                made.append(record.made({**record.value, self._name: answer}))
        return batch.followed_by(made)

    def flush(self) -> None:
        """There's nothing to write."""
