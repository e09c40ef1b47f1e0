"""Expressions in CEL: checked against the types of a record's fields, and compiled once (ADR 0012)."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

from cel_expr_python import cel

from pipelines.stream.definition.problems import meant
from pipelines.stream.field_types import ANY, Fields, FieldType
from pipelines.stream.operators.record import Unfit, Value

Type = cel.Type

SCALARS = {
    "bool": Type.BOOL,
    "int": Type.INT,
    "double": Type.DOUBLE,
    "string": Type.STRING,
    "bytes": Type.BYTES,
    "timestamp": Type.TIMESTAMP,
    "duration": Type.DURATION,
    "any": Type.DYN,
}
WRAPPERS = {
    "bool": Type("google.protobuf.BoolValue"),
    "int": Type("google.protobuf.Int64Value"),
    "double": Type("google.protobuf.DoubleValue"),
    "string": Type("google.protobuf.StringValue"),
    "bytes": Type("google.protobuf.BytesValue"),
}
RESULTS = {"BOOL": "bool", "INT": "int", "UINT": "int", "DOUBLE": "double", "STRING": "string", "BYTES": "bytes"} | {
    "TIMESTAMP": "timestamp",
    "DURATION": "duration",
}
WRAPPED = {"bool_wrapper": "bool", "int_wrapper": "int", "double_wrapper": "double", "string_wrapper": "string"} | {
    "bytes_wrapper": "bytes"
}
PYTHON = {"bool": bool, "int": int, "double": float, "string": str, "bytes": bytes}

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
TEXT = re.compile(r"""[rRbB]{0,2}("{3}.*?"{3}|'{3}.*?'{3}|"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*')""", re.DOTALL)
ERROR = re.compile(r"ERROR: <input>:(\d+):(\d+): (.*)")
OPERATORS = {"_+_", "_-_", "_*_", "_/_", "_%_", "_<_", "_<=_", "_>_", "_>=_", "_==_", "_!=_", "_&&_", "_||_"}


class InvalidExpression(Exception):
    """An expression can't be compiled, or has the wrong type.

    Attributes:
        line: where, in the expression, from 1.
        column: where in the line, from 1.
    """

    def __init__(self, message: str, line: int = 1, column: int = 1) -> None:
        super().__init__(message)
        self.line = line
        self.column = column


@dataclass(frozen=True)
class Expression:
    """An expression of which the type is known.

    Attributes:
        source: as it was written.
        type: of its result.
        field: the field that it is, if it's nothing else.
        evaluate: its value of a record's; raises `Unfit` or `KeyError`.
    """

    source: str
    type: FieldType
    field: str | None
    evaluate: Callable[[Value], Any]


class Scope:
    """What expressions may refer to at one place of a pipeline.

    Args:
        fields: of the records there.
    """

    def __init__(self, fields: Fields) -> None:
        self.fields = fields
        self._paths: dict[str, FieldType] = {}
        self._flatten("", fields)
        self._checking = cel.NewEnv(variables={path: _declared(type) for path, type in self._paths.items()})
        self._running = cel.NewEnv(
            variables={
                path: Type.DYN if type.is_nullable or type.kind in ("list", "map", "record") else SCALARS[type.kind]
                for path, type in self._paths.items()
            }
        )

    def compile(self, source: str, *kinds: str) -> Expression:
        """An expression, ready to be evaluated.

        Args:
            source: in CEL.
            kinds: what its result may be; none: anything.

        Raises:
            InvalidExpression: saying where and what is wrong.
        """
        name = source.strip()
        if name in self.fields:
            type = self.fields[name]
            _check_kind(source, type, kinds)
            return Expression(source, type, name, itemgetter(name))
        try:
            checked = self._checking.compile(source)
            running = self._running.compile(source)
        except RuntimeError as error:
            raise self._told(str(error), source) from None
        words = set(NAME.findall(TEXT.sub(" ", source)))
        type = _type_of(checked.return_type(), is_nullable=self._may_be_null(words))
        _check_kind(source, type, kinds)
        used = [path for path in self._paths if path.partition(".")[0] in words]
        return Expression(source, type, None, _compiled(running, used, type))

    def _flatten(self, prefix: str, fields: Fields) -> None:
        """A record's fields are variables with dots in their names, so that they're checked, too."""
        for name, type in fields.items():
            if type.kind == "record" and not type.is_nullable:
                self._flatten(f"{prefix}{name}.", type.fields)
            else:
                self._paths[f"{prefix}{name}"] = type

    def _may_be_null(self, words: set[str]) -> bool:
        return "null" in words or any(
            type.is_nullable for path, type in self._paths.items() if path.partition(".")[0] in words
        )

    def _told(self, message: str, source: str) -> InvalidExpression:
        found = ERROR.search(message)
        if found is None:
            return InvalidExpression(message.splitlines()[0])
        line, column, said = int(found[1]), int(found[2]), found[3]
        if undeclared := re.match(r"undeclared reference to '([^']*)'", said):
            name = undeclared[1]
            lines = source.splitlines()
            rest = lines[line - 1][column - 1 :] if line <= len(lines) else ""
            if rest.startswith("(") or re.match(r"\w+\s*\(", rest) or rest.startswith(f".{name}("):
                return InvalidExpression(f"there is no function {name!r}", line, column)
            known = [*self._paths, *(each for each in self.fields if each not in self._paths)]
            path = name if "." in name else _path_at(lines[line - 1], name) if line <= len(lines) else name
            return InvalidExpression(f"there is no field {path!r} here{meant(path, known)}", line, column)
        if overload := re.match(r"found no matching overload for '([^']*)' applied to '(.*)'", said):
            return InvalidExpression(_no_overload(overload[1], overload[2]), line, column)
        said = re.sub(r", expecting \{.*|expecting \{.*", "", said.removeprefix("Syntax error: ")).strip()
        return InvalidExpression(f"this isn't CEL: {said}", line, column)


def _path_at(line: str, name: str) -> str:
    found = re.search(rf"\b{re.escape(name)}(\.[A-Za-z_][A-Za-z0-9_]*)*", line)
    return found[0] if found else name


def _no_overload(function: str, arguments: str) -> str:
    types = [each.strip() for each in re.sub(r"wrapper\((\w+)\)", r"\1?", arguments).strip("()").split(",")]
    name = function.removeprefix("@").strip("_") if function in OPERATORS else function.replace("_", "")
    said = f"{name} doesn't go with {' and '.join(types)}"
    plain = {each.rstrip("?") for each in types}
    if plain == {"int", "double"}:
        return f"{said}; write a number with a point, or convert: double(…), int(…)"
    if "string" in plain and len(plain) == 2:
        return f"{said}; convert: string(…)"
    return said


def _declared(type: FieldType) -> Any:
    if type.is_nullable and type.kind in WRAPPERS:
        return WRAPPERS[type.kind]
    if type.is_nullable:
        return Type.DYN
    if type.kind == "list":
        return Type.List(_item(type.items))
    if type.kind == "map":
        return Type.Map(Type.STRING, _item(type.items))
    return Type.Map(Type.STRING, Type.DYN) if type.kind == "record" else SCALARS[type.kind]


def _item(type: FieldType | None) -> Any:
    return Type.DYN if type is None else _declared(type)


def _type_of(type: Any, *, is_nullable: bool) -> FieldType:
    name: str = type.name()
    if name in RESULTS:
        # Comparisons and logic give no null, whatever they're of.
        return FieldType(RESULTS[name], is_nullable=is_nullable and name != "BOOL")
    if name in WRAPPED:
        return FieldType(WRAPPED[name], is_nullable=True)
    if name.startswith("LIST<"):
        return FieldType("list", items=_named(name[5:-1]))
    if name.startswith("MAP<STRING, "):
        return FieldType("map", items=_named(name[12:-1]))
    return ANY


def _named(name: str) -> FieldType:
    if name in RESULTS:
        return FieldType(RESULTS[name])
    return FieldType(WRAPPED[name], is_nullable=True) if name in WRAPPED else ANY


def _check_kind(source: str, type: FieldType, kinds: tuple[str, ...]) -> None:
    if kinds and type.kind not in kinds and type.kind != "any":
        raise InvalidExpression(f"{source.strip()[:60]!r} is {_a(type)}, and must be {' or '.join(map(_a, kinds))}")


def _a(type: FieldType | str) -> str:
    return f"{'an' if str(type)[0] in 'aeiou' else 'a'} {type}"


def _compiled(expression: Any, used: list[str], type: FieldType) -> Callable[[Value], Any]:
    run, error = expression.eval, Type.ERROR
    has_paths = any("." in path for path in used)
    is_plain = type.kind in PYTHON and type.kind != "string"
    wanted = PYTHON.get(type.kind)

    def evaluate(value: Value) -> Any:
        if has_paths:
            result = run(data={path: _at(value, path) for path in used})
        else:
            result = run(data={name: value[name] for name in used})
        made = result.value() if is_plain else result.plain_value()
        if wanted is not None and made.__class__ is wanted and is_plain:
            return made
        if result.type() == error:
            raise Unfit(_reason(str(made)))
        if made is not None and wanted is not None and not isinstance(made, wanted):
            raise Unfit(f"it came to {made!r}, and must be {_a(type)}")
        return made

    return evaluate


def _at(value: Value, path: str) -> Any:
    found: Any = value
    for name in path.split("."):
        found = found[name]
    return found


def _reason(text: str) -> str:
    said = text.partition(": ")[2] or text
    if "null_type" in said:
        return f"{said}; a value is null: test it with != null first"
    return said
