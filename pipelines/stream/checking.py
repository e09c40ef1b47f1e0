"""What checks of a definition have in common: they note what is wrong, with its place, and go on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter
from typing import Any

from msgspec import UNSET

from pipelines.stream.definition.document import Document, Path
from pipelines.stream.definition.durations import duration
from pipelines.stream.definition.model import Definition, Origin, Source, chosen
from pipelines.stream.definition.problems import Problem, meant
from pipelines.stream.expressions import Expression, InvalidExpression, Scope
from pipelines.stream.field_types import Fields, FieldType
from pipelines.stream.inputs import Known, reference_of
from pipelines.stream.operators.event_time import TimeOf
from pipelines.stream.operators.instants import microseconds
from pipelines.stream.operators.record import Unfit, Value
from pipelines.stream.plan import Input

NOUNS = {"events": "event that matches", "dataset": "dataset", "pipeline": "pipeline", "query": "query"}


class Checks:
    """Notes what is wrong with a definition.

    Attributes:
        problems: found so far.
        here: the path of the step at hand.
        joined: the input that the step at hand brings along.
    """

    def __init__(self, document: Document, known: Known) -> None:
        self.problems: list[Problem] = []
        self.here: Path = ()
        self.joined: Input | None = None
        self.known = known
        self._document = document
        self._scopes: dict[int, tuple[Fields, Scope]] = {}

    def say(self, path: Path, message: str) -> None:
        """Note a problem with a value."""
        self.problems.append(Problem(self._document.place(path), message))

    def say_of_key(self, path: Path, message: str) -> None:
        """Note a problem with a key."""
        self.problems.append(Problem(self._document.place_of_key(path), message))

    def expression(self, source: str, fields: Fields, path: Path, *kinds: str) -> Expression | None:
        """Compile an expression; none if it's wrong."""
        if id(fields) not in self._scopes:
            self._scopes[id(fields)] = fields, Scope(fields)  # the fields are kept, so that no other has their id
        try:
            return self._scopes[id(fields)][1].compile(source, *kinds)
        except InvalidExpression as error:
            self.problems.append(Problem(self._document.place_in(path, error.line, error.column), str(error)))
            return None

    def field(self, name: str, fields: Fields, path: Path) -> FieldType | None:
        """The type of a field; none if there's no such field."""
        if name not in fields:
            self.say(path, f"there is no field {name!r} here{meant(name, list(fields))}")
        return fields.get(name)

    def length(self, text: str, path: Path, *, may_be_zero: bool = False) -> int:
        """A duration in µs."""
        try:
            made = duration(text)
        except ValueError as error:
            self.say(path, str(error))
            return 1
        if not made and not may_be_zero:
            self.say(path, "this must be longer than nothing")
        return made or (0 if may_be_zero else 1)

    def origin(self, origin: Origin, path: Path) -> dict[str, FieldType] | None:
        """The fields of what is read; none if there's no such thing."""
        kind, name = reference = reference_of(origin)
        fields = self.known.fields(reference)
        if fields is None:
            names = self.known.names.get(kind, ())
            self.say((*path, kind), f"there is no {NOUNS[kind]} {name!r}{meant(name, names)}")
        return fields

    def event_time(self, source: Source, fields: Fields | None, path: Path) -> tuple[TimeOf | None, int]:
        """How to read a record's time, and by how much records may come out of order, in µs."""
        out_of_order = self.length(source.out_of_order, (*path, "out_of_order"), may_be_zero=True)
        if fields is None:
            return None, out_of_order
        read_time = self.expression(source.event_time, fields, (*path, "event_time"), "timestamp")
        return (None if read_time is None else _time_of(read_time.evaluate)), out_of_order

    def new_name(self, name: str, taken: Mapping[str, object], path: Path) -> None:
        """A field that a step adds must not be there already."""
        if name in taken:
            self.say_of_key(path, f"there is a field {name!r} already; choose another name")

    def sinks(self, definition: Definition, output: Fields) -> None:
        """What goes into a dataset that is there must fit it."""
        for number, sink in enumerate(definition.sinks):
            path = ("sinks", number, chosen(sink)[0])
            if sink.dataset is UNSET:
                continue
            columns = self.known.schemas.get(("dataset", sink.dataset))
            if columns is not None:
                self._check_columns(sink.dataset, columns, output, path)
            if ("dataset", sink.dataset) == reference_of(definition.source):
                self.say(path, "a pipeline can't write to the dataset that it reads")

    def _check_columns(self, dataset: str, columns: Fields, output: Fields, path: Path) -> None:
        for name, type in output.items():
            if name.startswith("_"):
                continue  # about the record, and not of it
            column = columns.get(name)
            if column is None:
                self.say(path, f"dataset {dataset} has no field {name!r}{meant(name, list(columns))}")
            elif column.kind != type.kind and "any" not in (column.kind, type.kind):
                self.say(path, f"field {name} is {type} here, and {column} in dataset {dataset}")
            elif type.is_nullable and not column.is_nullable:
                self.say(path, f"field {name} may be null here, and must not in dataset {dataset}")
        for name, column in columns.items():
            if name not in output and not column.is_nullable:
                self.say(path, f"dataset {dataset} needs a field {name!r}, of type {column}, and results have none")


def _time_of(evaluate: Callable[[Value], object]) -> TimeOf:
    def time_of(value: Value) -> int:
        time = evaluate(value)
        if time is None:
            raise Unfit("it's null")
        try:
            return microseconds(time)  # type: ignore[arg-type]
        except TypeError:
            raise Unfit(f"{time!r} is no time with a zone") from None

    return time_of


def tuple_of(reads: Sequence[Callable[[Value], Any]]) -> Callable[[Value], tuple[Any, ...]]:
    """Reads several values at once."""
    return lambda value: tuple([read(value) for read in reads])


def fields_getter(names: Sequence[str]) -> Callable[[Value], tuple[Any, ...]]:
    """Reads several fields at once."""
    if len(names) > 1:
        return itemgetter(*names)
    return tuple_of([itemgetter(name) for name in names])
