"""Random schemas, and values of them in Avro's JSON encoding, written down after the specification alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import msgspec
from hypothesis import strategies as st

Draw = Callable[[st.SearchStrategy[Any]], Any]

DAY_MS = 24 * 60 * 60 * 1000
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8)
KEYS = TEXT.filter(bool)  # fastavro writes no JSON with an empty key
LONG = st.integers(-(2**63), 2**63 - 1)
# From year 1 to 9999, which is what Python's dates have.
DAYS = st.integers(-719162, 2932896)
MICROS = st.integers(-62135596800 * 10**6, 253402300799 * 10**6)

PRIMITIVES: dict[str, st.SearchStrategy[Any]] = {
    "null": st.none(),
    "boolean": st.booleans(),
    "int": st.integers(-(2**31), 2**31 - 1),
    "long": LONG,
    "float": st.floats(width=32, allow_nan=False, allow_infinity=False),
    "double": st.floats(allow_nan=False, allow_infinity=False),
    "bytes": st.binary(max_size=6).map(lambda data: data.decode("latin-1")),
    "string": TEXT,
}
LOGICAL: dict[tuple[str, str], st.SearchStrategy[Any]] = {
    ("string", "uuid"): st.uuids().map(str),
    ("int", "date"): DAYS,
    ("int", "time-millis"): st.integers(0, DAY_MS - 1),
    ("long", "time-micros"): st.integers(0, DAY_MS * 1000 - 1),
    ("long", "timestamp-millis"): MICROS.map(lambda micros: micros // 1000),
    ("long", "timestamp-micros"): MICROS,
    ("long", "local-timestamp-millis"): MICROS.map(lambda micros: micros // 1000),
    ("long", "local-timestamp-micros"): MICROS,
}
# fastavro chooses a branch by the value alone; of each family it could only guess.
FAMILIES = {
    **dict.fromkeys(("int", "long", "float", "double"), "number"),
    **dict.fromkeys(("string", "enum"), "text"),
    **dict.fromkeys(("bytes", "fixed", "array"), "bytes"),
    **dict.fromkeys(("map", "record"), "object"),
}
# It also takes text and numbers for dates and times.
GUESSED = frozenset({"number", "text", "bytes"})


@dataclass
class SchemaMaker:
    """Draws a schema; `types` are the named types in it by full name."""

    draw: Draw
    recursive: bool
    types: dict[str, dict[str, Any]] = field(default_factory=dict)
    under_way: list[str] = field(default_factory=list)

    def record(self, space: str, depth: int = 0) -> dict[str, Any]:
        """A record of one to five fields (fastavro writes no JSON of none).

        Some have defaults, aliases, or words of Python as names.
        """
        node, space = self.named("record", space)
        self.under_way.append(full(node, space))
        names = st.sampled_from(["a", "b", "class", "w", "d", "None", "n", "_x", "UUID", "long_name"])
        node["fields"] = []
        for name in self.draw(st.lists(names, unique=True, min_size=1, max_size=5)):
            item: dict[str, Any] = {"name": name, "type": self.type(space, depth + 1)}
            if self.draw(st.integers(0, 5)) == 0:
                item |= {"aliases": [f"old_{name}"], "doc": 'Of a field, "quoted".\n'}
            node["fields"].append(item)
        self.under_way.pop()
        for item in node["fields"]:
            if self.draw(st.integers(0, 3)) == 0:
                item["default"] = ValueMaker(self.draw, self.types, is_default=True).of(item["type"], space)
        return node

    def named(self, kind: str, space: str) -> tuple[dict[str, Any], str]:
        """A named type, in the namespace around it or in another; and that namespace."""
        node: dict[str, Any] = {"type": kind, "name": f"T{len(self.types)}"}
        if self.draw(st.booleans()):
            node["namespace"] = space = self.draw(st.sampled_from(["n", "n.m", "lake"]))
        if self.draw(st.integers(0, 5)) == 0:
            node |= {"aliases": ["Earlier"], "doc": "What it's for."}
        self.types[full(node, space)] = node
        return node, space

    def type(self, space: str, depth: int) -> Any:
        """Any type; unions only where there's none around it."""
        return self.union(space, depth) if self.draw(st.integers(0, 2)) == 0 else self.single(space, depth)

    def single(self, space: str, depth: int) -> Any:
        """A type that isn't a union."""
        kinds = ["primitive", "logical", "decimal", "enum", "fixed", "known"]
        kinds += ["record", "array", "map", "array", "map"] if depth < 4 else []
        match self.draw(st.sampled_from(kinds)):
            case "primitive":
                kind = self.draw(st.sampled_from(sorted(PRIMITIVES)))
                return self.draw(st.sampled_from([kind, {"type": kind}]))
            case "logical":
                kind, logical = self.draw(st.sampled_from(sorted(LOGICAL)))
                return {"type": kind, "logicalType": logical}
            case "decimal":
                precision = self.draw(st.integers(1, 20))
                scale = self.draw(st.integers(0, precision))
                return {"type": "bytes", "logicalType": "decimal", "precision": precision, "scale": scale}
            case "enum":
                node, _ = self.named("enum", space)
                symbols = st.sampled_from(["A", "B", "mro", "None", "name", "_C_"])
                node["symbols"] = self.draw(st.lists(symbols, unique=True, min_size=1))
                return node
            case "fixed":
                node, _ = self.named("fixed", space)
                node["size"] = self.draw(st.integers(1, 20))
                if node["size"] >= 9 and self.draw(st.booleans()):
                    node |= {"logicalType": "decimal", "precision": 18, "scale": self.draw(st.integers(0, 18))}
                return node
            case "record":
                return self.record(space, depth)
            case "array":
                before = dict(self.types)
                items = self.type(space, depth + 1)
                if not takes_bytes(items, space, self.types):
                    self.types, items = before, "string"
                return {"type": "array", "items": items}
            case "map":
                return {"type": "map", "values": self.type(space, depth + 1)}
            case _:
                return self.known(space)

    def known(self, space: str) -> Any:
        """A type defined before, by one of the names it can have here; no record that isn't finished yet."""
        finished = self.referable(set(self.types) - set(self.under_way), space)
        return self.reference(self.draw(st.sampled_from(finished)), space) if finished else "string"

    def referable(self, names: Iterable[str], space: str) -> list[str]:
        """Inside a namespace, what has none has no name."""
        return sorted(name for name in names if "." in name or not space)

    def reference(self, name: str, space: str) -> str:
        """The full name, or the short one where it's enough."""
        around, _, short = name.rpartition(".")
        return short if around == space and self.draw(st.booleans()) else name

    def union(self, space: str, depth: int) -> list[Any]:
        """Null, a record that is still under way, and branches that fastavro can tell apart by their values."""
        branches: list[Any] = ["null"] if self.draw(st.booleans()) else []
        around = self.referable(self.under_way, space) if self.recursive else []
        if branches and around and self.draw(st.booleans()):
            branches.append(self.reference(self.draw(st.sampled_from(around)), space))
        for _ in range(self.draw(st.integers(1, 3))):
            before = dict(self.types)
            branch = self.single(space, depth + 1)
            if all(self.differ(branch, other, space) for other in branches):
                branches.append(branch)
            else:
                self.types = before
        return branches

    def differ(self, one: Any, other: Any, space: str) -> bool:
        """Whether values of two branches are different: records are by their name, others by their family."""
        (one, in_one), (other, in_other) = look_up(one, space, self.types), look_up(other, space, self.types)
        if kind_of(one) == kind_of(other) == "record":
            return full(one, in_one) != full(other, in_other)
        families = {family_of(one), family_of(other)}
        if is_logical(one) or is_logical(other):
            return not families <= GUESSED
        return len(families) == 2


def full(node: dict[str, Any], space: str) -> str:
    space = node.get("namespace", space)
    return f"{space}.{node['name']}" if space else node["name"]


def look_up(avro: Any, space: str, types: dict[str, dict[str, Any]]) -> tuple[Any, str]:
    """A type, and the namespace inside it."""
    if isinstance(avro, str) and avro not in PRIMITIVES:
        name = avro if "." in avro or not space else f"{space}.{avro}"
        return types[name], name.rpartition(".")[0]
    if isinstance(avro, dict) and "name" in avro:
        return avro, full(avro, space).rpartition(".")[0]
    return avro, space


def kind_of(avro: Any) -> str:
    return "union" if isinstance(avro, list) else avro if isinstance(avro, str) else avro["type"]


def is_logical(node: Any) -> bool:
    return isinstance(node, dict) and "logicalType" in node


def family_of(node: Any) -> str:
    return FAMILIES.get(kind_of(node), kind_of(node))


def takes_bytes(avro: Any, space: str, types: dict[str, dict[str, Any]]) -> bool:
    node, inside = look_up(avro, space, types)
    if kind_of(node) == "record":
        return any(takes_bytes(item["type"], inside, types) for item in node.get("fields", ()))
    return node not in ("null", {"type": "null"})


@dataclass
class ValueMaker:
    """Draws values of a schema in Avro's JSON encoding, or as defaults: of the first branch of each union, untagged."""

    draw: Draw
    types: dict[str, dict[str, Any]]
    is_default: bool = False

    def of(self, avro: Any, space: str, depth: int = 0) -> Any:
        """A value; deep inside, the shortest there is."""
        if isinstance(avro, list):
            return self.of_union(avro, space, depth)
        node, inside = look_up(avro, space, self.types)
        kind = kind_of(node)
        if isinstance(node, dict) and node.get("logicalType") == "decimal":
            return self.of_decimal(node)
        if isinstance(node, dict) and (logical := (kind, node.get("logicalType"))) in LOGICAL:
            return self.draw(LOGICAL[logical])
        if kind in PRIMITIVES:
            return self.draw(PRIMITIVES[kind])
        most = 0 if depth > 4 else 3
        match kind:
            case "record":
                return {item["name"]: self.of(item["type"], inside, depth + 1) for item in node["fields"]}
            case "enum":
                return self.draw(st.sampled_from(node["symbols"]))
            case "fixed":
                return self.draw(st.binary(min_size=node["size"], max_size=node["size"])).decode("latin-1")
            case "array":
                count = self.draw(st.integers(0, most))
                return [self.of(node["items"], space, depth + 1) for _ in range(count)]
            case _:
                keys = self.draw(st.lists(KEYS, unique=True, max_size=most))
                return {key: self.of(node["values"], space, depth + 1) for key in keys}

    def of_union(self, branches: list[Any], space: str, depth: int) -> Any:
        """Null, or an object with the branch's name as its key."""
        if self.is_default:
            return self.of(branches[0], space, depth + 1)
        branch = "null" if depth > 4 and "null" in branches else self.draw(st.sampled_from(branches))
        node, inside = look_up(branch, space, self.types)
        if kind_of(node) == "null":
            return None
        tag = kind_of(node)
        if isinstance(node, dict) and "name" in node:
            tag = f"{inside}.{node['name']}" if inside else node["name"]
        return {tag: self.of(branch, space, depth + 1)}

    def of_decimal(self, node: dict[str, Any]) -> str:
        """An unscaled number in two's complement: of the fixed's size, or as short as possible."""
        most = 10 ** node["precision"] - 1
        number = self.draw(st.integers(-most, most))
        size = node.get("size") or (number + (number < 0)).bit_length() // 8 + 1
        return number.to_bytes(size, "big", signed=True).decode("latin-1")


@st.composite
def schemas_with_values(draw: Draw, *, recursive: bool) -> tuple[dict[str, Any], Any]:
    """A record schema, and a value of it in Avro JSON; records may be within themselves where that's asked for."""
    maker = SchemaMaker(draw, recursive)
    schema = maker.record("")
    return schema, ValueMaker(draw, maker.types).of(schema, "")


def plain(value: Any) -> Any:
    """As fastavro has it: records as dicts, symbols as text."""
    if isinstance(value, msgspec.Struct):
        return {
            name.removesuffix("_") if name in ("class_", "None_") else name: plain(getattr(value, name))
            for name in value.__struct_fields__
        }
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return value
