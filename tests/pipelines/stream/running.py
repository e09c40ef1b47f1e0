"""Runs pipelines in a test: from YAML, over records, cut into batches, and started anew in between."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from pipelines.stream.field_types import FieldType
from pipelines.stream.inputs import Known
from pipelines.stream.operators.chain import MAIN, Chain, Origin, Outputs
from pipelines.stream.operators.record import END, Record, Unfit, Value
from pipelines.stream.operators.state import MappingState, State
from pipelines.stream.plan import Ask, Plan
from pipelines.stream.planning import plan

READINGS = {
    "id": FieldType("int"),
    "sensor": FieldType("string"),
    "celsius": FieldType("double", is_nullable=True),
    "at": FieldType("timestamp"),
    "tags": FieldType("list", items=FieldType("string")),
}
SENSORS = {"sensor": FieldType("string"), "room": FieldType("string"), "since": FieldType("timestamp")}
KNOWN = Known(
    {
        ("dataset", "readings"): READINGS,
        ("dataset", "sensors"): SENSORS,
        ("query", "sensors.Find"): {"sensor": FieldType("string")},
        ("answer", "sensors.Find"): {"room": FieldType("string")},
    },
    {"dataset": ["readings", "sensors"], "query": ["sensors.Find"]},
)


@dataclass
class Around:
    """State in dicts that outlive chains, answers and functions given by the test."""

    tables: dict[str, dict[bytes, bytes]] = field(default_factory=dict)
    answers: Mapping[str, Value] = field(default_factory=dict)
    functions: Mapping[str, Callable[[Value], Any]] = field(default_factory=dict)

    def state(self, name: str) -> State:
        return MappingState(self.tables.setdefault(name, {}))

    def ask(self, query: str) -> Ask:
        def ask(questions: Sequence[Value]) -> Sequence[Value | Unfit | None]:
            return [self.answers.get(question["sensor"]) for question in questions]

        return ask

    def function(self, name: str) -> Callable[[Value], Any]:
        return self.functions[name]


def planned(steps: str, source: str = "event_time: at", more: str = "") -> Plan:
    """A pipeline over readings, with these steps."""
    text = f"pipeline: p\nsource: {{dataset: readings, {source}}}\nsteps:\n{steps}\nsinks: [{{topic: results}}]\n{more}"
    return plan(text, KNOWN)


def chain(plan: Plan, around: Around | None = None) -> Chain:
    return plan.chain(Origin("p", 1, 0), around or Around())


def records(values: Iterable[Value]) -> list[Record]:
    return [Record(None, value, 0, offset) for offset, value in enumerate(values)]


def batches(records: Sequence[Record], cuts: Sequence[int]) -> Iterator[list[Record]]:
    """The records, cut there; each anew, as a chain writes into them."""
    places = sorted({0, *(cut for cut in cuts if cut < len(records)), len(records)})
    for start, end in pairwise(places):
        yield [Record(each.key, each.value, each.time, each.offset) for each in records[start:end]]


def run(
    plan: Plan,
    records: Sequence[Record],
    cuts: Sequence[int] = (),
    *,
    restarts: bool = False,
    around: Around | None = None,
) -> Outputs:
    """All that a pipeline brings out of its source's records, to their end.

    Args:
        plan: the pipeline.
        records: of its source.
        cuts: where batches end.
        restarts: make a new chain from the state for each batch.
        around: states, answers and functions.
    """
    around = around or Around()
    made = Outputs([], [], [])
    current = chain(plan, around)
    for batch in batches(records, cuts):
        if restarts:
            current = chain(plan, around)
        extend(made, current.process(batch))
    extend(made, current.advance(END, len(records), MAIN))
    return made


def extend(outputs: Outputs, more: Outputs) -> None:
    outputs.results.extend(more.results)
    outputs.late.extend(more.late)
    outputs.failed.extend(more.failed)


def values(outputs: Outputs) -> list[Value]:
    return [output.record.value for output in outputs.results]
