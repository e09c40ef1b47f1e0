"""A definition from YAML: everything that doesn't fit the model is told, each with its place."""

from __future__ import annotations

import re
from typing import Any

import msgspec
from msgspec import inspect

from pipelines.stream.definition.document import Document, Path
from pipelines.stream.definition.durations import DURATION_IS
from pipelines.stream.definition.model import CHOICES, DURATION, FIELD, NAME, Definition
from pipelines.stream.definition.problems import InvalidDefinition, Problem, meant

PATTERNS_ARE = {
    DURATION: DURATION_IS,
    NAME: "an id: a lower-case letter, then up to 62 lower-case letters, digits, '_' and '-'",
    FIELD: "a field's name: a letter or '_', then up to 62 letters, digits and '_'",
    "^https?://": "an http or https URL",
    "^[A-Z][A-Za-z0-9]{0,62}$": "an event's name, such as DelayMeasured",
    r"^[A-Za-z0-9_.-]{1,200}$": "a routing key: letters, digits, '_', '-' and dots",
}
KINDS = {dict: "a mapping", list: "a list", str: "a text", int: "a number", float: "a number", bool: "true or false"}


def read(text: str) -> tuple[Definition, Document]:
    """A definition and the document it's from.

    Raises:
        InvalidDefinition: with everything that doesn't fit the model.
    """
    document = Document(text)
    checker = _Checker(document)
    checker.check(inspect.type_info(Definition), document.value, ())
    if checker.problems:
        raise InvalidDefinition(checker.problems)
    return msgspec.convert(document.value, Definition), document


class _Checker:
    def __init__(self, document: Document) -> None:
        self.problems: list[Problem] = []
        self._document = document

    def check(self, type: inspect.Type, value: Any, path: Path) -> None:
        if isinstance(type, inspect.Metadata):
            type = type.type
        if isinstance(type, inspect.UnionType):
            types = [each.type if isinstance(each, inspect.Metadata) else each for each in type.types]
            is_mapping = isinstance(value, dict)
            type = next((each for each in types if isinstance(each, inspect.StructType) == is_mapping), types[0])
        if isinstance(type, inspect.StructType):
            self._check_struct(type, value, path)
        elif isinstance(type, inspect.DictType):
            self._check_dict(type, value, path)
        elif isinstance(type, inspect.ListType):
            if not isinstance(value, list):
                self._say(path, f"this must be a list, not {_kind(value)}")
            else:
                self._check_length(type, value, path, "items")
                for number, each in enumerate(value):
                    self.check(type.item_type, each, (*path, number))
        elif isinstance(type, inspect.LiteralType):
            values = [str(each) for each in type.values]
            if value not in type.values:
                self._say(path, f"{_short(value)} can't stand here{meant(str(value), values)}")
        elif isinstance(type, inspect.BoolType):
            if not isinstance(value, bool):
                self._say(path, f"this must be true or false, not {_short(value)}")
        elif isinstance(type, inspect.FloatType):
            if isinstance(value, bool) or not isinstance(value, (int, float)):
                self._say(path, f"this must be a number, not {_short(value)}")
            elif (type.ge is not None and value < type.ge) or (type.le is not None and value > type.le):
                self._say(path, f"this must be {type.ge:g} to {type.le:g}, not {value:g}")
        elif isinstance(type, inspect.StrType):
            self._check_text(type, value, path)

    def _check_struct(self, type: inspect.StructType, value: Any, path: Path) -> None:
        if not isinstance(value, dict):
            self._say(path, f"this must be a mapping, not {_kind(value)}")
            return
        fields = {field.encode_name: field for field in type.fields}
        for name, each in value.items():
            if name not in fields:
                self._say_of_key((*path, name), f"{name!r} has no meaning here{meant(name, list(fields))}")
            else:
                self.check(fields[name].type, each, (*path, name))
        for name, field in fields.items():
            if field.required and name not in value:
                self._say(path, f"{name!r} is missing")
        choices = CHOICES.get(type.cls, ())
        made = [name for name in value if name in choices]
        if choices and len(made) != 1 and not (value.keys() - fields):
            which = "none is here" if not made else f"here are {' and '.join(made)}"
            self._say(path, f"exactly one of {', '.join(choices)} must be here; {which}")

    def _check_dict(self, type: inspect.DictType, value: Any, path: Path) -> None:
        if not isinstance(value, dict):
            self._say(path, f"this must be a mapping, not {_kind(value)}")
            return
        self._check_length(type, value, path, "entries")
        for name, each in value.items():
            problem = _unfit(type.key_type, name)
            if problem:
                self._say_of_key((*path, name), problem)
            self.check(type.value_type, each, (*path, name))

    def _check_text(self, type: inspect.StrType, value: Any, path: Path) -> None:
        if not isinstance(value, str):
            hint = f'; write it in quotes: "{value}"' if isinstance(value, (int, float, bool)) else ""
            self._say(path, f"this must be a text, not {_short(value)}{hint}")
        elif problem := _unfit(type, value):
            self._say(path, problem)

    def _check_length(self, type: inspect.ListType | inspect.DictType, value: Any, path: Path, what: str) -> None:
        if type.min_length is not None and len(value) < type.min_length:
            self._say(path, f"at least {type.min_length} must be here")
        if type.max_length is not None and len(value) > type.max_length:
            self._say(path, f"here are {len(value)} {what}, and {type.max_length} is the most")

    def _say(self, path: Path, message: str) -> None:
        self.problems.append(Problem(self._document.place(path), message))

    def _say_of_key(self, path: Path, message: str) -> None:
        self.problems.append(Problem(self._document.place_of_key(path), message))


def _unfit(type: inspect.Type, value: str) -> str | None:
    if isinstance(type, inspect.Metadata):
        type = type.type
    assert isinstance(type, inspect.StrType)
    if type.pattern is not None and not re.search(type.pattern, value):
        return f"{_short(value)} is not {PATTERNS_ARE[type.pattern]}"
    if type.min_length is not None and len(value) < type.min_length:
        return "there's nothing here"
    if type.max_length is not None and len(value) > type.max_length:
        return f"this has {len(value):,} characters, and {type.max_length:,} is the most"
    return None


def _kind(value: Any) -> str:
    return "nothing" if value is None else KINDS[type(value)]


def _short(value: Any) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, (dict, list)):
        return _kind(value)
    text = repr(value) if isinstance(value, str) else str(value).lower() if isinstance(value, bool) else str(value)
    return text if len(text) <= 60 else text[:57] + "…"
