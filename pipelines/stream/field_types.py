"""Types of a record's fields, from Avro and as CEL knows them.

Values are as in plain JSON (ADR 0008), except that timestamps are datetimes and bytes are bytes: a uuid, a date, a
time of day and a decimal are texts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, cast

from datapunk.errors import SchemaError
from datapunk.messages.grammar import normal_form

Avro = Any
Fields = Mapping[str, "FieldType"]

SCALARS = {
    "boolean": "bool",
    "int": "int",
    "long": "int",
    "float": "double",
    "double": "double",
    "string": "string",
    "bytes": "bytes",
}
TEXTS = frozenset({"uuid", "date", "time-millis", "time-micros", "decimal"})
TIMESTAMPS = frozenset({"timestamp-millis", "timestamp-micros"})
AVRO: dict[str, Avro] = {
    "bool": "boolean",
    "int": "long",
    "double": "double",
    "string": "string",
    "bytes": "bytes",
    "timestamp": {"type": "long", "logicalType": "timestamp-micros"},
    "duration": "string",
    "any": "string",
}


@dataclass(frozen=True, slots=True)
class FieldType:
    """A type.

    Attributes:
        kind: bool, int, double, string, bytes, timestamp, duration, list, map, record, or any (known when it runs).
        is_nullable: whether it may be null.
        items: of a list, or of a map, whose keys are texts.
        fields: of a record.
    """

    kind: str
    is_nullable: bool = False
    items: FieldType | None = None
    fields: Fields = field(default_factory=dict[str, "FieldType"])

    def or_null(self) -> FieldType:
        """The same, and null."""
        return replace(self, is_nullable=True)

    def __str__(self) -> str:
        """As people read it."""
        inner = {"list": f"list({self.items})", "map": f"map(string, {self.items})"}
        if self.kind == "record":
            inner["record"] = "{" + ", ".join(f"{name}: {each}" for name, each in self.fields.items()) + "}"
        return inner.get(self.kind, self.kind) + ("?" if self.is_nullable and self.kind != "any" else "")

    def avro(self, name: str) -> Avro:
        """As an Avro schema.

        Args:
            name: what a record in it is called.
        """
        made: Avro = AVRO.get(self.kind)
        if self.kind == "list":
            made = {"type": "array", "items": cast(FieldType, self.items).avro(name)}
        elif self.kind == "map":
            made = {"type": "map", "values": cast(FieldType, self.items).avro(name)}
        elif self.kind == "record":
            made = record_schema(name, self.fields)
        return ["null", made] if self.is_nullable else made


ANY = FieldType("any", is_nullable=True)


def record_schema(name: str, fields: Fields) -> Avro:
    """A record as an Avro schema."""
    return {
        "type": "record",
        "name": name,
        "fields": [
            {"name": each, "type": type.avro(f"{name}_{each}"), **({"default": None} if type.is_nullable else {})}
            for each, type in fields.items()
        ],
    }


def fields_of(definition: Avro) -> dict[str, FieldType]:
    """The fields of an Avro record.

    Raises:
        SchemaError: if it's none.
    """
    normal = normal_form(definition)
    if not isinstance(normal.root, dict) or normal.root.get("type") != "record":
        raise SchemaError("the schema must be a record")
    return _fields(cast("dict[str, Any]", normal.root), normal.types, frozenset())


def in_common(schemas: Iterable[Fields]) -> dict[str, FieldType]:
    """The fields that all of some records have, of the same type; nullable where one is."""
    rest = list(schemas)
    if not rest:
        return {}
    found: dict[str, FieldType] = {}
    for name, type in rest[0].items():
        others = [each.get(name) for each in rest[1:]]
        if all(other is not None and replace(other, is_nullable=type.is_nullable) == type for other in others):
            is_nullable = type.is_nullable or any(cast(FieldType, other).is_nullable for other in others)
            found[name] = replace(type, is_nullable=is_nullable)
    return found


def _fields(record: dict[str, Any], types: dict[str, Any], within: frozenset[str]) -> dict[str, FieldType]:
    return {each["name"]: _type(each["type"], types, within | {record["name"]}) for each in record["fields"]}


def _type(avro: Avro, types: dict[str, Any], within: frozenset[str]) -> FieldType:
    if isinstance(avro, list):
        branches = [each for each in cast("list[Avro]", avro) if each != "null"]
        return _type(branches[0], types, within).or_null() if len(branches) == 1 else ANY
    if isinstance(avro, str):
        return (
            FieldType(SCALARS[avro])
            if avro in SCALARS
            else ANY
            if avro == "null"
            else _type(types[avro], types, within)
        )
    node = cast("dict[str, Any]", avro)
    kind, logical = node["type"], node.get("logicalType")
    if logical in TEXTS:
        return FieldType("string")
    if logical in TIMESTAMPS:
        return FieldType("timestamp")
    if kind == "array":
        return FieldType("list", items=_type(node["items"], types, within))
    if kind == "map":
        return FieldType("map", items=_type(node["values"], types, within))
    if kind == "record":
        return ANY if node["name"] in within else FieldType("record", fields=_fields(node, types, within))
    return FieldType({"enum": "string", "fixed": "bytes"}.get(kind) or SCALARS[kind])
