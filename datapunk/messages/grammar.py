"""What a schema must be like before anything is made of it, and its normal form.

Schemas come from strangers, too (`lake.CreateDataset` carries one), and code is compiled from them. So every name
is checked against Avro's grammar here, and what a schema can cost is bounded. The rules are Avro 1.12's, and
stricter where a schema would surprise: no names that start with two underscores, no logical type on a type that
can't carry it, no array of items that take no bytes, and the default of a union is one of its first branch.

In the normal form names are full, primitive types are text, defaults are complete, and nothing is left that
changes neither values nor their evolution.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from datapunk.errors import SchemaError
from datapunk.messages.defaults import complete
from datapunk.messages.python_names import python_name

Avro = Any  # a schema as JSON: a name, a list of branches, or an object

PRIMITIVES = frozenset({"null", "boolean", "int", "long", "float", "double", "bytes", "string"})
NAMED = frozenset({"record", "error", "enum", "fixed"})

MAX_DEPTH = 32  # types within types, as written, and records within records, as references go
MAX_FIELDS = 2_000  # of one record
MAX_PARTS = 5_000  # fields, branches, items and symbols; compiling so many takes about a third of a second
MAX_EMPTIES = 100  # in one record: they take no bytes in binary, so a short body could hold any number
MAX_FIXED_BYTES = 1 << 20
MAX_PRECISION = 1_000  # digits: what Postgres' numeric takes

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")  # Avro 1.12 specification, "Names"

CARRIERS = {
    "uuid": {"string", "fixed"},
    "date": {"int"},
    "time-millis": {"int"},
    "time-micros": {"long"},
    "timestamp-millis": {"long"},
    "timestamp-micros": {"long"},
    "local-timestamp-millis": {"long"},
    "local-timestamp-micros": {"long"},
    "decimal": {"bytes", "fixed"},
}


def full_name(definition: Mapping[str, Any], namespace: str = "") -> str:
    """The full name of a named type defined inside a namespace."""
    name = str(definition["name"])
    if "." in name:
        return name
    space = definition.get("namespace", namespace)
    return f"{space}.{name}" if space else name


@dataclass(frozen=True, slots=True)
class NormalForm:
    """A schema that keeps the rules.

    Attributes:
        root: the schema itself.
        types: the named types in it by full name.
        is_recursive: whether a record can be within itself.
    """

    root: Any
    types: dict[str, dict[str, Any]]
    is_recursive: bool


def normal_form(definition: Avro) -> NormalForm:
    """A self-contained schema in normal form.

    Raises:
        SchemaError: saying where it breaks the rules, and which.
    """
    grammar = _Grammar()
    try:
        root = grammar.of(definition, "", "", 0)
        grammar.complete_defaults()
    except RecursionError:
        raise SchemaError("the schema is nested too deeply") from None
    return NormalForm(root, grammar.types, grammar.is_recursive)


@dataclass(frozen=True, slots=True)
class _Size:
    """What one value of a type is made of.

    Attributes:
        empties: values in it that take no bytes in binary.
        is_empty: whether it takes none itself.
        height: how deep records are within records, as references go.
    """

    empties: int
    is_empty: bool
    height: int


_NO_RECORD = _Size(0, False, 0)


class _Grammar:
    def __init__(self) -> None:
        self.types: dict[str, dict[str, Any]] = {}
        self.is_recursive = False
        self._parts = 0
        self._defaults: list[tuple[dict[str, Any], str]] = []  # fields that have one, and where they are
        self._sizes: dict[str, _Size] = {}  # of named types that are complete

    def of(self, avro: Avro, space: str, path: str, depth: int) -> Avro:
        self._count(path)
        if depth > MAX_DEPTH:
            raise SchemaError(f"{path}: types are nested more than {MAX_DEPTH} deep")
        if isinstance(avro, str):
            return self._reference(avro, space, path)
        if isinstance(avro, list):
            return self._union(cast("list[Avro]", avro), space, path, depth)
        if not isinstance(avro, dict) or "type" not in avro:
            raise SchemaError(f"{path or 'the schema'}: {_short(avro)} is not an Avro schema")
        node = cast("dict[str, Any]", avro)
        kind = node["type"]
        if not isinstance(kind, str):
            return self.of(kind, space, path, depth + 1)
        if kind in NAMED:
            return self._named(kind, node, space, path, depth)
        if kind == "array":
            items = self.of(_need(node, "items", path), space, f"{path}[]", depth + 1)
            if self._size(items, is_direct=False).is_empty:
                raise SchemaError(f"{path}: the items of an array must take bytes; a short body could hold any number")
            return {"type": "array", "items": items}
        if kind == "map":
            return {"type": "map", "values": self.of(_need(node, "values", path), space, f"{path}{{}}", depth + 1)}
        if kind in PRIMITIVES:
            logical = _logical(node, kind, path)
            return {"type": kind, **logical} if logical else kind
        return self._reference(kind, space, path)

    def complete_defaults(self) -> None:
        """Check them: this needs all types."""
        for item, path in self._defaults:
            item["default"] = complete(item["type"], item["default"], self.types, path)

    def _count(self, path: str, parts: int = 1) -> None:
        self._parts += parts
        if self._parts > MAX_PARTS:
            raise SchemaError(f"{path}: the schema has more than {MAX_PARTS} fields, branches, items and symbols")

    def _reference(self, name: str, space: str, path: str) -> str:
        if name in PRIMITIVES:
            return name
        found = name if "." in name or not space else f"{space}.{name}"
        if found not in self.types:
            raise SchemaError(f"{path or 'the schema'}: there is no type {_short(name)}")
        if found not in self._sizes:
            self.is_recursive = True
        return found

    def _union(self, branches: list[Avro], space: str, path: str, depth: int) -> list[Avro]:
        if not branches:
            raise SchemaError(f"{path}: a union needs at least one branch")
        made = [self.of(branch, space, path, depth + 1) for branch in branches]
        if any(isinstance(branch, list) for branch in made):
            raise SchemaError(f"{path}: a union can't be a branch of a union")
        tags: set[str] = set()
        for branch in made:
            if tag_of(branch) in tags:
                raise SchemaError(f"{path}: two branches of the union are both {tag_of(branch)}")
            tags.add(tag_of(branch))
        return made

    def _named(self, kind: str, node: dict[str, Any], space: str, path: str, depth: int) -> dict[str, Any]:
        name = self._name(node, space, path)
        if name in self.types:
            raise SchemaError(f"{path or name}: the type {name} is defined twice")
        made: dict[str, Any] = {"type": "record" if kind == "error" else kind, "name": name}
        self.types[name] = made  # before the fields: a record may contain itself
        space = name.rpartition(".")[0]
        if aliases := _aliases(node, path or name):
            made["aliases"] = [alias if "." in alias or not space else f"{space}.{alias}" for alias in aliases]
        if kind == "fixed":
            size = _need(node, "size", path)
            if not _is_int(size) or not 1 <= size <= MAX_FIXED_BYTES:
                raise SchemaError(f"{path}: the size of a fixed is 1 to {MAX_FIXED_BYTES} bytes, not {_short(size)}")
            self._sizes[name] = _NO_RECORD
            made |= {"size": size, **_logical(node, kind, path)}
            return made
        if kind == "enum":
            self._sizes[name] = _NO_RECORD
            made["symbols"] = self._symbols(_need(node, "symbols", path), path)
            if "default" in node:
                if node["default"] not in made["symbols"]:
                    raise SchemaError(f"{path}: the enum's default {_short(node['default'])} is none of its symbols")
                made["default"] = node["default"]
            return made
        made["fields"] = self._fields(_need(node, "fields", path), space, path or name.rpartition(".")[2], depth)
        self._sizes[name] = self._size_of_record(name, made["fields"])
        return made

    def _name(self, node: dict[str, Any], space: str, path: str) -> str:
        name, namespace = _need(node, "name", path), node.get("namespace", space)
        if not isinstance(namespace, str) or (namespace and not _is_full_name(namespace)):
            raise SchemaError(f"{path}: {_short(namespace)} can't be a namespace")
        if not isinstance(name, str) or not _is_full_name(name):
            raise SchemaError(f"{path}: {_short(name)} can't be a name: {NAMES_ARE}")
        if name.rpartition(".")[2] in PRIMITIVES:
            raise SchemaError(f"{path}: a type can't be called {name.rpartition('.')[2]}, as Avro's own is")
        return full_name(node, space)

    def _symbols(self, symbols: Any, path: str) -> list[str]:
        if not isinstance(symbols, list) or not symbols:
            raise SchemaError(f"{path}: an enum needs a list of symbols")
        symbols = cast("list[Any]", symbols)
        self._count(path, len(symbols))
        for symbol in symbols:
            if not _is_name(symbol):
                raise SchemaError(f"{path}: {_short(symbol)} can't be a symbol: {NAMES_ARE}")
        if len(set(symbols)) < len(symbols):
            raise SchemaError(f"{path}: an enum has a symbol twice")
        return list(symbols)

    def _fields(self, fields: Any, space: str, path: str, depth: int) -> list[dict[str, Any]]:
        if not isinstance(fields, list):
            raise SchemaError(f"{path}: a record needs a list of fields")
        fields = cast("list[Any]", fields)
        if len(fields) > MAX_FIELDS:
            raise SchemaError(f"{path}: a record has at most {MAX_FIELDS:,} fields, not {len(fields):,}")
        made: list[dict[str, Any]] = []
        attributes: set[str] = set()
        for item in fields:
            if not isinstance(item, dict):
                raise SchemaError(f"{path}: {_short(item)} is not a field")
            item = cast("dict[str, Any]", item)
            name = _need(item, "name", path)
            if not _is_name(name):
                raise SchemaError(f"{path}: {_short(name)} can't be a field's name: {NAMES_ARE}")
            if python_name(name) in attributes:
                raise SchemaError(f"{path}: two fields are called {name}")
            attributes.add(python_name(name))
            here = f"{path}.{name}"
            field = {"name": name, "type": self.of(_need(item, "type", here), space, here, depth + 1)}
            if aliases := _aliases(item, here):
                field["aliases"] = aliases
            if "default" in item:
                field["default"] = item["default"]
                self._defaults.append((field, here))
            made.append(field)
        return made

    def _size(self, avro: Avro, *, is_direct: bool = True) -> _Size:
        if isinstance(avro, str):
            if avro in PRIMITIVES:
                return _Size(1, True, 0) if avro == "null" else _NO_RECORD
            found = self._sizes.get(avro)
            if found is None and is_direct:
                raise SchemaError(f"{avro}: it contains itself without an end; put a union with null in between")
            return found or _NO_RECORD
        if isinstance(avro, list):
            parts = cast("list[Avro]", avro)
        elif "name" in avro:
            return self._size(avro["name"], is_direct=is_direct)
        else:
            parts = [avro[key] for key in ("items", "values") if key in avro]
        return _Size(0, False, max((self._size(part, is_direct=False).height for part in parts), default=0))

    def _size_of_record(self, name: str, fields: list[dict[str, Any]]) -> _Size:
        sizes = [self._size(field["type"]) for field in fields]
        is_empty = all(size.is_empty for size in sizes)
        size = _Size(
            sum(size.empties for size in sizes) + is_empty, is_empty, 1 + max((s.height for s in sizes), default=0)
        )
        if size.empties > MAX_EMPTIES:
            raise SchemaError(f"{name}: it holds more than {MAX_EMPTIES} values of type null")
        if size.height > MAX_DEPTH:
            raise SchemaError(f"{name}: records are nested more than {MAX_DEPTH} deep")
        return size


NAMES_ARE = "a letter or '_', then letters, digits and '_', and not two '_' at the start"


def tag_of(branch: Avro) -> str:
    """The tag of a union's branch, in normal form: a named type's full name, else the name of the type."""
    return branch if isinstance(branch, str) else str(branch.get("name", branch["type"]))


def _is_name(name: Any) -> bool:
    return isinstance(name, str) and _NAME.fullmatch(name) is not None and not name.startswith("__")


def _is_full_name(name: str) -> bool:
    return all(map(_is_name, name.split(".")))


def _is_int(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _need(node: Mapping[str, Any], key: str, path: str) -> Any:
    if key not in node:
        raise SchemaError(f"{path or 'the schema'}: {key!r} is missing")
    return node[key]


def _aliases(node: Mapping[str, Any], path: str) -> list[str]:
    aliases: Any = node.get("aliases", [])
    if not isinstance(aliases, list) or not all(isinstance(each, str) and _is_full_name(each) for each in aliases):  # pyright: ignore[reportUnknownVariableType]
        raise SchemaError(f"{path}: {_short(aliases)} can't be aliases: each is a name, {NAMES_ARE}")
    return cast("list[str]", aliases)


def _logical(node: Mapping[str, Any], kind: str, path: str) -> dict[str, Any]:
    """The attributes that make a type a logical one."""
    logical = node.get("logicalType")
    if logical is None:
        return {}
    if not isinstance(logical, str):
        raise SchemaError(f"{path}: a logicalType is text, not {_short(logical)}")
    if logical in CARRIERS and kind not in CARRIERS[logical]:
        raise SchemaError(f"{path}: the logical type {logical} goes with {' or '.join(sorted(CARRIERS[logical]))}")
    if logical == "uuid" and kind == "fixed" and node.get("size") != 16:
        raise SchemaError(f"{path}: a uuid has 16 bytes")
    if logical != "decimal":
        return {"logicalType": logical}
    precision, scale = node.get("precision"), node.get("scale", 0)
    if not _is_int(precision) or not 1 <= cast(int, precision) <= MAX_PRECISION:
        raise SchemaError(f"{path}: a decimal's precision is 1 to {MAX_PRECISION}, not {_short(precision)}")
    if not _is_int(scale) or not 0 <= scale <= cast(int, precision):
        raise SchemaError(f"{path}: a decimal's scale is 0 to its precision, not {_short(scale)}")
    if kind == "fixed" and 10 ** cast(int, precision) - 1 >= 1 << 8 * cast(int, node["size"]) - 1:
        raise SchemaError(f"{path}: {node['size']} bytes can't hold {precision} digits")
    return {"logicalType": logical, "precision": precision, "scale": scale}


def _short(value: Any) -> str:
    """A value in an error: whole schemas have no place there."""
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "…"
