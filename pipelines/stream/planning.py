"""Checks a definition against schemas, step by step: each expression, each field, each type."""

from __future__ import annotations

from msgspec import UNSET

from pipelines.stream.checking import Checks
from pipelines.stream.definition.document import Document
from pipelines.stream.definition.model import Definition, chosen
from pipelines.stream.definition.problems import InvalidDefinition
from pipelines.stream.definition.reading import read
from pipelines.stream.field_types import Fields
from pipelines.stream.inputs import Known, reference_of
from pipelines.stream.plan import Input, Plan, PlannedStep
from pipelines.stream.steps import planners


def plan(text: str, known: Known) -> Plan:
    """A definition, checked.

    Raises:
        InvalidDefinition: with everything that is wrong.
    """
    definition, document = read(text)
    return check(definition, document, known)


def check(definition: Definition, document: Document, known: Known) -> Plan:
    """A definition that was read, checked.

    Raises:
        InvalidDefinition: with everything that is wrong; what follows from something wrong isn't told.
    """
    checks = Checks(document, known)
    entry = checks.origin(definition.source, ("source",))
    time_of, out_of_order = checks.event_time(definition.source, entry, ("source",))
    key = definition.source.key
    if key is not UNSET:
        checks.field(key, entry, ("source", "key"))
    fields: Fields | None = entry
    steps: list[PlannedStep] = []
    main = Input("main", reference_of(definition.source), False, () if key is UNSET else (key,), time_of)
    inputs, joins = [main], dict[str, int]()
    for number, step in enumerate(definition.steps):
        if fields is None:
            break  # without the schema nothing more can be said
        kind = chosen(step)[0]
        checks.here = ("steps", number, kind)
        planned = planners[kind](checks, getattr(step, kind), number, fields, steps)
        if checks.joined is not None:
            inputs.append(checks.joined)
            joins[checks.joined.name] = number
            checks.joined = None
        if planned is not None:
            fields = planned.fields
            steps.append(planned)
        elif kind not in ("filter", "dedupe"):  # which change no field, right or wrong
            fields = None
    if fields is not None:
        checks.sinks(definition, fields)
    if checks.problems:
        raise InvalidDefinition(checks.problems)
    assert entry is not None
    return Plan(definition, inputs, entry, steps, joins, out_of_order)
