"""How a window is checked, and its operator made."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from msgspec import UNSET

from pipelines.stream.checking import Checks, fields_getter
from pipelines.stream.definition.model import Aggregate as Said
from pipelines.stream.definition.model import Window, chosen
from pipelines.stream.field_types import Fields, FieldType
from pipelines.stream.operators import aggregates
from pipelines.stream.operators.aggregates import Aggregate
from pipelines.stream.operators.record import Operator
from pipelines.stream.operators.sessions import Sessions
from pipelines.stream.operators.state import State
from pipelines.stream.operators.windows import Windows
from pipelines.stream.plan import PlannedStep, Surroundings

NUMBERS = ("int", "double")
ORDERED = ("int", "double", "string", "timestamp")
SCALARS = ("int", "double", "string", "bool", "timestamp", "bytes")
KINDS = {"count": ("bool",), "sum": NUMBERS, "avg": NUMBERS, "quantile": NUMBERS, "min": ORDERED, "max": ORDERED} | {
    "distinct": SCALARS
}
MOST_WINDOWS = 1_000  # that one record may be in


def plan_window(
    checks: Checks, part: Window, number: int, fields: Fields, before: Sequence[PlannedStep]
) -> PlannedStep | None:
    """Check a window."""
    here = checks.here
    if any("is_final" in step.fields for step in before if step.kind == "window"):
        checks.say_of_key(here, "a window can't follow one that emits changes: each would count anew")
    types: dict[str, FieldType] = {}
    for place, name in enumerate(part.by):
        type = checks.field(name, fields, (*here, "by", place))
        if name in types:
            checks.say((*here, "by", place), f"{name!r} is there twice")
        types[name] = type or FieldType("any", is_nullable=True)
    types |= {"window_start": FieldType("timestamp"), "window_end": FieldType("timestamp")}
    if part.emit == "changes":
        types |= {"revision": FieldType("int"), "is_final": FieldType("bool")}
        if part.session is not UNSET:
            checks.say((*here, "emit"), "sessions can't emit changes, only final results")
    made: dict[str, Aggregate] = {}
    for name, said in part.aggregate.items():
        path = (*here, "aggregate", name)
        checks.new_name(name, types, path)
        found = _aggregate(checks, said, fields, path)
        if found is not None:
            made[name], types[name] = found
    make = _make(checks, part, number, made)
    return PlannedStep("window", _said(part), types, make, tuple(part.by))


def _aggregate(
    checks: Checks, said: str | Said, fields: Fields, path: tuple[str | int, ...]
) -> tuple[Aggregate, FieldType] | None:
    if isinstance(said, str):
        return aggregates.Count(lambda _: True), FieldType("int")
    kind = chosen(said)[0]
    expression = checks.expression(getattr(said, kind), fields, (*path, kind), *KINDS[kind])
    if (kind == "quantile") != (said.at is not UNSET):
        missing = (
            "a quantile needs `at`, such as at: 0.95" if kind == "quantile" else f"`at` has no meaning with {kind}"
        )
        checks.say(path, missing)
        return None
    if expression is None:
        return None
    read = expression.evaluate
    if kind == "quantile":
        assert said.at is not UNSET
        return aggregates.Quantile(read, said.at), FieldType("double", is_nullable=True)
    if kind in ("count", "distinct"):
        return (aggregates.Count if kind == "count" else aggregates.Distinct)(read), FieldType("int")
    of: Mapping[str, type[aggregates.Sum] | type[aggregates.Avg]] = {
        "sum": aggregates.Sum,
        "min": aggregates.Min,
        "max": aggregates.Max,
        "avg": aggregates.Avg,
    }
    # A group has at least one record; of values that are never null there's a result, then.
    result = FieldType("double", expression.type.is_nullable) if kind == "avg" else expression.type
    return of[kind](read), result


def _make(
    checks: Checks, part: Window, number: int, made: Mapping[str, Aggregate]
) -> Callable[[Surroundings, State], Operator]:
    here = checks.here
    lateness = checks.length(part.lateness, (*here, "lateness"), may_be_zero=True)
    by = list(part.by)
    group_of = fields_getter(by)
    if part.session is not UNSET:
        gap = checks.length(part.session, (*here, "session"))
        return lambda _, state: Sessions(number, gap, lateness, by, group_of, made, state)
    if part.hopping is not UNSET:
        size = checks.length(part.hopping.size, (*here, "hopping", "size"))
        every = checks.length(part.hopping.every, (*here, "hopping", "every"))
        if every > size:
            checks.say((*here, "hopping", "every"), "windows start at least as often as they are long")
        if size > MOST_WINDOWS * every:
            checks.say((*here, "hopping", "every"), f"a record would be in more than {MOST_WINDOWS:,} windows")
    else:
        assert part.tumbling is not UNSET
        size = every = checks.length(part.tumbling, (*here, "tumbling"))
    changes = part.emit == "changes"
    return lambda _, state: Windows(number, size, every, lateness, by, group_of, made, changes, state)


def _said(part: Window) -> str:
    if part.hopping is not UNSET:
        kind = f"hopping {part.hopping.size} every {part.hopping.every}"
    else:
        kind = f"tumbling {part.tumbling}" if part.tumbling is not UNSET else f"session {part.session}"
    return kind + (f" by {', '.join(part.by)}" if part.by else "") + f": {', '.join(part.aggregate)}"
