"""How a join is checked, and its operator made."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec import UNSET

from pipelines.stream.checking import Checks, fields_getter, tuple_of
from pipelines.stream.definition.model import Join
from pipelines.stream.field_types import Fields
from pipelines.stream.inputs import reference_of
from pipelines.stream.operators.joins import StreamJoin, TableJoin
from pipelines.stream.operators.record import Value
from pipelines.stream.plan import Input, PlannedStep


def plan_join(
    checks: Checks, part: Join, number: int, fields: Fields, before: Sequence[PlannedStep]
) -> PlannedStep | None:
    """Check a join."""
    here = checks.here
    source = part.table if part.table is not UNSET else part.stream
    assert source is not UNSET
    path = (*here, "table" if part.table is not UNSET else "stream")
    other = checks.origin(source, path)
    if (part.stream is not UNSET) != (part.within is not UNSET):
        checks.say(here, "a join with a stream needs `within`, and one with a table has none")
    if part.stream is not UNSET and part.keep_unmatched:
        checks.say((*here, "keep_unmatched"), "only a table's join can keep records that match nothing")
    if any("is_final" in step.fields for step in before if step.kind == "window") and part.stream is not UNSET:
        checks.say_of_key(here, "a stream can't be joined after a window that emits changes")
    if other is None:
        return None
    time_of, _ = checks.event_time(part.stream, other, path) if part.stream is not UNSET else (None, 0)
    reads: list[Any] = []
    for name, expression in part.on.items():
        theirs = checks.field(name, other, (*here, "on", name))
        mine = checks.expression(expression, fields, (*here, "on", name))
        if theirs is not None and mine is not None:
            if "any" not in (theirs.kind, mine.type.kind) and theirs.kind != mine.type.kind:
                checks.say((*here, "on", name), f"{expression} is {mine.type}, and {name} of the other is {theirs}")
            reads.append(mine.evaluate)
    taken = dict(fields)
    for name, field in part.take.items():
        type = checks.field(field, other, (*here, "take", name))
        checks.new_name(name, fields, (*here, "take", name))
        if type is not None:
            taken[name] = type.or_null() if part.keep_unmatched else type
    if len(reads) < len(part.on):
        return None
    take = list(part.take.items())

    def combine(value: Value, found: Value | None) -> Value:
        return {**value, **{name: None if found is None else found.get(field) for name, field in take}}

    key_of = tuple_of(reads)
    other_key_of = fields_getter(list(part.on))
    is_table = part.table is not UNSET
    checks.joined = Input(f"join{number}", reference_of(source), is_table, tuple(part.on), time_of)
    said = f"{' '.join(reference_of(source))} on {', '.join(part.on)}"
    if is_table:
        keeps = part.keep_unmatched
        return PlannedStep(
            "join", said, taken, lambda _, state: TableJoin(number, key_of, other_key_of, combine, keeps, state)
        )
    within = checks.length(part.within or "1s", (*here, "within"))
    return PlannedStep(
        "join", said, taken, lambda _, state: StreamJoin(number, key_of, other_key_of, combine, within, state)
    )
