"""How each kind of step is checked, and its operator made."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from pipelines.stream.checking import Checks, fields_getter
from pipelines.stream.definition.model import Dedupe, Enrich, FlatMap, Python
from pipelines.stream.definition.problems import meant
from pipelines.stream.expressions import PYTHON
from pipelines.stream.field_types import ANY, Fields, FieldType
from pipelines.stream.joining import plan_join
from pipelines.stream.operators import dedupe, each
from pipelines.stream.operators.record import Unfit, Value
from pipelines.stream.plan import PlannedStep
from pipelines.stream.windowing import plan_window

Planner = Callable[[Checks, Any, int, Fields, Sequence[PlannedStep]], PlannedStep | None]


def _plan_filter(checks: Checks, part: str, number: int, fields: Fields, _: Any) -> PlannedStep | None:
    condition = checks.expression(part, fields, checks.here, "bool")
    if condition is None:
        return None
    keeps = condition.evaluate
    return PlannedStep("filter", part, fields, lambda _, __: each.Filter(number, keeps))


def _plan_map(checks: Checks, part: dict[str, str], number: int, fields: Fields, _: Any) -> PlannedStep | None:
    made = {name: checks.expression(source, fields, (*checks.here, name)) for name, source in part.items()}
    found = {name: expression for name, expression in made.items() if expression is not None}
    if len(found) < len(made):
        return None
    reads = [(name, expression.evaluate) for name, expression in found.items()]

    def function(value: Value) -> list[Value]:
        return [{name: read(value) for name, read in reads}]

    types = {name: expression.type for name, expression in found.items()}
    return PlannedStep("map", ", ".join(types), types, lambda _, __: each.Map(number, function))


def _plan_flat_map(checks: Checks, part: FlatMap, number: int, fields: Fields, _: Any) -> PlannedStep | None:
    items = checks.expression(part.each, fields, (*checks.here, "each"), "list")
    checks.new_name(part.name, {**fields}, (*checks.here, "name"))
    if items is None:
        return None
    read, name = items.evaluate, part.name

    def function(value: Value) -> list[Value]:
        found = read(value)
        if found is None:
            return []
        if not isinstance(found, list):
            raise Unfit(f"each: {found!r} is no list")
        return [{**value, name: item} for item in found]

    types = {**fields, name: items.type.items or ANY}
    return PlannedStep("flat_map", f"each of {part.each} as {name}", types, lambda _, __: each.Map(number, function))


def _plan_dedupe(checks: Checks, part: Dedupe, number: int, fields: Fields, _: Any) -> PlannedStep | None:
    types = [checks.field(name, fields, (*checks.here, "by", place)) for place, name in enumerate(part.by)]
    within = checks.length(part.within, (*checks.here, "within"))
    if None in types:
        return None
    read = fields_getter(part.by)
    said = f"by {', '.join(part.by)} within {part.within}"
    return PlannedStep(
        "dedupe", said, fields, lambda _, state: dedupe.Dedupe(number, read, within, state), tuple(part.by)
    )


def _plan_enrich(checks: Checks, part: Enrich, number: int, fields: Fields, _: Any) -> PlannedStep | None:
    known = checks.known
    asked, answer = known.schemas.get(("query", part.query)), known.schemas.get(("answer", part.query))
    checks.new_name(part.name, {**fields}, (*checks.here, "name"))
    if asked is None or answer is None:
        names = known.names.get("query", ())
        checks.say((*checks.here, "query"), f"there is no query {part.query!r}{meant(part.query, names)}")
        return None
    reads: list[tuple[str, Callable[[Value], Any]]] = []
    for name, source in part.with_.items():
        path = (*checks.here, "with", name)
        if name not in asked:
            checks.say_of_key(path, f"{part.query} has no field {name!r}{meant(name, list(asked))}")
            continue
        kinds = () if asked[name].kind == "any" else (asked[name].kind,)
        expression = checks.expression(source, fields, path, *kinds)
        if expression is not None:
            reads.append((name, expression.evaluate))
    if len(reads) < len(part.with_):
        return None

    def question(value: Value) -> Value:
        return {name: read(value) for name, read in reads}

    types = {**fields, part.name: FieldType("record", is_nullable=True, fields=answer)}
    return PlannedStep(
        "enrich",
        f"{part.name} from {part.query}",
        types,
        lambda around, _: each.Enrich(number, question, around.ask(part.query), part.name),
    )


def _plan_python(checks: Checks, part: Python, number: int, fields: Fields, _: Any) -> PlannedStep | None:
    types = {name: FieldType(kind, is_nullable=True) for name, kind in part.returns.items()}

    def wrap(function: Callable[[Value], Any]) -> Callable[[Value], list[Value]]:
        def call(value: Value) -> list[Value]:
            try:
                made = function(value)
            except Exception as error:
                raise Unfit(f"{part.function}: {type(error).__name__}: {error}") from error
            values: list[Any] = [] if made is None else [made] if isinstance(made, dict) else list(made)
            return [_fitting(part, each) for each in values]

        return call

    return PlannedStep(
        "python",
        part.function,
        types,
        lambda around, _: each.Map(number, wrap(around.function(part.function))),
    )


def _fitting(part: Python, value: Any) -> Value:
    """What a function returned, if it is what it's said to be; what it left out is null."""
    if not isinstance(value, dict) or value.keys() - part.returns.keys():
        raise Unfit(f"{part.function} returned {value!r:.200}, which has other fields than {', '.join(part.returns)}")
    for name, kind in part.returns.items():
        wanted = PYTHON.get(kind)
        found = value.get(name)
        if wanted is not None and found is not None and type(found) is not wanted:
            raise Unfit(f"{part.function} returned {found!r:.200} as {name}, which must be of type {kind}")
    return {name: value.get(name) for name in part.returns}


planners: dict[str, Planner] = {
    "filter": _plan_filter,
    "map": _plan_map,
    "flat_map": _plan_flat_map,
    "window": plan_window,
    "join": plan_join,
    "dedupe": _plan_dedupe,
    "enrich": _plan_enrich,
    "python": _plan_python,
}
