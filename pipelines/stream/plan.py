"""A definition that was checked: what each step takes and gives, and how to make its operator."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from pipelines.stream.definition.model import Definition
from pipelines.stream.field_types import Fields
from pipelines.stream.inputs import Reference
from pipelines.stream.operators.chain import Chain, Origin
from pipelines.stream.operators.event_time import TimeOf, Watermarks
from pipelines.stream.operators.record import Operator, Unfit, Value
from pipelines.stream.operators.state import State

Ask = Callable[[Sequence[Value]], Sequence[Value | Unfit | None]]


class Surroundings(Protocol):
    """What operators need that isn't in the definition."""

    def state(self, name: str) -> State:
        """The state of that name, in the partition at hand."""
        ...

    def ask(self, query: str) -> Ask:
        """Who answers questions of a type."""
        ...

    def function(self, name: str) -> Callable[[Value], Any]:
        """A function of the user's."""
        ...


@dataclass(frozen=True)
class Input:
    """Where records come from.

    Attributes:
        name: `main`, or the name of a join's own input.
        reference: what is read.
        is_table: its rows are looked up, and have no part in event time.
        key: the field by which its records must be spread over partitions, if they must.
        time_of: reads a record's time.
    """

    name: str
    reference: Reference
    is_table: bool
    key: tuple[str, ...]
    time_of: TimeOf | None


@dataclass(frozen=True)
class PlannedStep:
    """A step, checked.

    Attributes:
        kind: such as `filter`.
        said: what it does, in a line.
        fields: of the records that leave it.
        make: makes its operator, with the state of its own.
        together: fields of the records that enter it; those with the same values must be in the same partition.
    """

    kind: str
    said: str
    fields: Fields
    make: Callable[[Surroundings, State], Operator]
    together: tuple[str, ...] = ()


@dataclass(frozen=True)
class Plan:
    """A definition that was checked.

    Attributes:
        definition: itself.
        inputs: what it reads, the source first.
        entry: the fields of a record of the source.
        steps: in their order.
        joins: by the name of an input, the number of the step that takes it.
        out_of_order: by how much records may come out of order, in µs.
    """

    definition: Definition
    inputs: Sequence[Input]
    entry: Fields
    steps: Sequence[PlannedStep]
    joins: dict[str, int] = field(default_factory=dict[str, int])
    out_of_order: int = 0

    @property
    def output(self) -> Fields:
        """The fields of a result."""
        return self.steps[-1].fields if self.steps else self.entry

    def chain(self, origin: Origin, around: Surroundings) -> Chain:
        """The operators of one partition, as their states say."""
        watermarks = Watermarks(
            [each.name for each in self.inputs if not each.is_table], self.out_of_order, around.state("watermarks")
        )
        operators = [step.make(around, around.state(f"{number}.{step.kind}")) for number, step in enumerate(self.steps)]
        times = {each.name: each.time_of for each in self.inputs}
        stops = self.definition.on_error == "stop"
        return Chain(origin, watermarks, times, operators, self.joins, stops=stops)
