"""What a definition refers to outside itself, and what is known of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from msgspec import UNSET

from pipelines.stream.definition.model import Definition, Origin, chosen
from pipelines.stream.field_types import Fields, FieldType

TIME = FieldType("timestamp")
METADATA: dict[str, dict[str, FieldType]] = {
    "events": {
        "_time": TIME,
        "_type": FieldType("string"),
        "_actor": FieldType("string"),
        "_position": FieldType("int"),
    },
    "dataset": {"_time": TIME},
    "pipeline": {"_time": TIME},
}  # fields that an input has besides its own

Reference = tuple[str, str]  # such as ("dataset", "flights"); kinds: events, dataset, pipeline, query, answer


@dataclass(frozen=True)
class Known:
    """Schemas of what definitions refer to.

    Attributes:
        schemas: the fields of each; an answer goes by its query's name.
        names: all there are of a kind, to tell what was perhaps meant.
    """

    schemas: Mapping[Reference, Fields]
    names: Mapping[str, Sequence[str]] = field(default_factory=dict[str, Sequence[str]])

    def fields(self, reference: Reference) -> dict[str, FieldType] | None:
        """The fields of an input, with those that tell about it; none if there's no such thing."""
        found = self.schemas.get(reference)
        return None if found is None else {**found, **METADATA.get(reference[0], {})}


def reference_of(origin: Origin) -> Reference:
    """What a source reads."""
    kind = chosen(origin)[0]
    return kind, getattr(origin, kind)


def references(definition: Definition) -> Iterator[Reference]:
    """All that must be known to check a definition; datasets among its sinks only if they're there."""
    yield reference_of(definition.source)
    for step in definition.steps:
        if step.join is not UNSET:
            yield reference_of(step.join.table if step.join.table is not UNSET else step.join.stream)  # type: ignore[arg-type]
        if step.enrich is not UNSET:
            yield "query", step.enrich.query
            yield "answer", step.enrich.query
    for sink in definition.sinks:
        if sink.dataset is not UNSET:
            yield "dataset", sink.dataset
