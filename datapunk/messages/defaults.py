"""Defaults in schemas: whether they fit, and what they stand for in full."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, cast

from datapunk.errors import SchemaError
from datapunk.messages import avro_values as values

Avro = Any  # a schema in normal form
Node = Mapping[str, Any]  # one as an object

MAX_VALUES = 1_000  # that one default makes, with the defaults inside it


def complete(avro: Avro, value: Any, types: Mapping[str, dict[str, Any]], path: str) -> Any:
    """A default with all that it leaves to other defaults filled in, and floats for floats.

    Args:
        avro: what it's a default of.
        value: as JSON, as the schema has it.
        types: the named types of the schema, in normal form.
        path: for errors.

    Raises:
        SchemaError: if it doesn't fit.
    """
    return _Completion(types).of(avro, value, path)


class _Completion:
    def __init__(self, types: Mapping[str, dict[str, Any]]) -> None:
        self._types = types
        self._left = MAX_VALUES

    def of(self, avro: Avro, value: Any, path: str) -> Any:
        self._left -= 1
        if self._left < 0:
            raise SchemaError(f"{path}: the default makes more than {MAX_VALUES} values")
        if isinstance(avro, list):
            return self.of(avro[0], value, path)  # the default of a union is one of its first branch
        node = cast("dict[str, Any]", self._types.get(avro, {"type": avro}) if isinstance(avro, str) else avro)
        kind = str(node["type"])
        match kind:
            case "record":
                return self._record(node, _as(dict, value, kind, path), path)
            case "array":
                return [self.of(node["items"], item, path) for item in _as(list, value, kind, path)]
            case "map":
                entries = _as(dict, value, kind, path).items()
                return {
                    _checked(_string, key, {"type": "string"}, path): self.of(node["values"], item, path)
                    for key, item in entries
                }
            case _:
                return _checked(_CHECKS[kind], value, node, path)

    def _record(self, node: dict[str, Any], value: dict[str, Any], path: str) -> dict[str, Any]:
        fields = {str(item["name"]): item for item in node["fields"]}
        unknown = [name for name in value if name not in fields]
        if unknown:
            raise SchemaError(f"{path}: the default has a field {unknown[0][:60]!r} that {node['name']} hasn't")
        made: dict[str, Any] = {}
        for name, item in fields.items():
            if name not in value and "default" not in item:
                raise SchemaError(f"{path}: the default lacks the field {name}")
            made[name] = self.of(item["type"], value[name] if name in value else item["default"], path)
        return made


def _as(wanted: type[Any], value: Any, kind: str, path: str) -> Any:
    if not isinstance(value, wanted):
        raise SchemaError(f"{path}: the default {repr(value)[:60]} is not of type {kind}")
    return value


def _checked(check: Callable[[Any, Node], Any], value: Any, node: Avro, path: str) -> Any:
    try:
        return check(value, node)
    except (ValueError, TypeError, ArithmeticError) as error:
        raise SchemaError(f"{path}: the default {repr(value)[:60]} doesn't fit: {str(error)[:200]}") from None


def _logical(value: Any, node: Node) -> Any:
    """The same value, if the Python value exists that it stands for."""
    values.from_wire(value, node["type"], node)
    return value


def _null(value: Any, node: Node) -> None:
    if value is not None:
        raise ValueError("it isn't null")


def _string(value: Any, node: Node) -> str:
    values.to_string(value).encode()  # lone surrogates are in no encoding
    return _logical(value, node)


def _bytes(value: Any, node: Node) -> str:
    if not isinstance(value, str):
        raise ValueError("bytes are written as text, a character a byte")
    values.text_to_bytes(value)
    return _logical(value, node)


def _fixed(value: Any, node: Node) -> str:
    if not isinstance(value, str) or len(value) != node["size"]:
        raise ValueError(f"{node['size']} bytes are written as text, a character a byte")
    return _bytes(value, node)


def _symbol(value: Any, node: Node) -> str:
    if value not in node["symbols"]:
        raise ValueError("it's none of the symbols")
    return value


_CHECKS: dict[str, Callable[[Any, Node], Any]] = {
    "null": _null,
    "boolean": lambda value, node: values.to_boolean(value),
    "int": lambda value, node: _logical(values.to_int(value), node),
    "long": lambda value, node: _logical(values.to_long(value), node),
    "float": lambda value, node: values.to_float(value),
    "double": lambda value, node: values.to_double(value),
    "string": _string,
    "bytes": _bytes,
    "fixed": _fixed,
    "enum": _symbol,
}
