"""The fields of a dataset's schema, as columns: of which type of polars, and how they're written in Avro JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from datapunk.messages.schema import parse_text
from workflows.lake.files.errors import BadFile

MAX_DIGITS = 38  # of a decimal in polars

PRIMITIVES: Mapping[str, pl.DataType] = {
    "boolean": pl.Boolean(),
    "int": pl.Int32(),
    "long": pl.Int64(),
    "float": pl.Float32(),
    "double": pl.Float64(),
    "string": pl.String(),
    "bytes": pl.Binary(),
}
LOGICAL: Mapping[str, pl.DataType] = {
    "date": pl.Date(),
    "time-millis": pl.Time(),
    "time-micros": pl.Time(),
    "timestamp-millis": pl.Datetime("ms", "UTC"),
    "timestamp-micros": pl.Datetime("us", "UTC"),
    "local-timestamp-millis": pl.Datetime("ms"),
    "local-timestamp-micros": pl.Datetime("us"),
    "uuid": pl.String(),
}
JSON = "json"  # the kind of fields that columns hold as text
NANOSECONDS = {"time-millis": 1_000_000, "time-micros": 1_000}  # in one of them


@dataclass(frozen=True)
class Field:
    """A field.

    Attributes:
        name: in the schema.
        kind: Avro's type or, where it has one, its logical type: `long`, `date`, `record`, …
        node: the type in normal form.
        is_nullable: whether it may be null.
        has_default: whether it may be left out.
        tag: of its value in a union.
        dtype: the type of its column.
        parts: a record's fields, or an array's item.
    """

    name: str
    kind: str
    node: Any
    is_nullable: bool
    has_default: bool
    tag: str
    dtype: pl.DataType
    parts: tuple[Field, ...] = ()

    @property
    def is_nested(self) -> bool:
        """Whether it has parts."""
        return bool(self.parts)

    @property
    def is_bytes(self) -> bool:
        """Whether Avro JSON has it as a text of bytes."""
        return self.dtype == pl.Binary or isinstance(self.dtype, pl.Decimal)


def fields_of(schema: str) -> tuple[Field, ...]:
    """The fields of a record schema.

    Raises:
        SchemaError: if it's no such schema.
        BadFile: if a type is one that columns can't hold.
    """
    normal = parse_text(schema).normal
    if normal.is_recursive:
        raise BadFile("records within themselves can't be loaded from files: send them by lake.AppendRecords")
    return tuple(_field(item, normal.types) for item in normal.root["fields"])


def readable_fields_of(schema: str) -> tuple[Field, ...]:
    """The same for what is to be read: columns can't hold some types, which are of the kind `json` then."""
    normal, found = parse_text(schema).normal, list[Field]()
    for item in normal.root["fields"]:
        try:
            if normal.is_recursive:
                raise BadFile("a field that may have itself within")
            found.append(_field(item, normal.types))
        except BadFile:
            found.append(Field(item["name"], JSON, item["type"], True, False, "", pl.String()))
    return tuple(found)


def _field(item: Mapping[str, Any], types: Mapping[str, Any]) -> Field:
    name, avro, is_nullable = str(item["name"]), item["type"], False
    if isinstance(avro, list):
        branches: Sequence[Any] = avro
        others = [branch for branch in branches if branch != "null"]
        if len(others) != 1:
            raise BadFile(f"field {name}: unions of several types can't be loaded from files")
        is_nullable, avro = len(others) < len(branches), others[0]
        in_union = True
    else:
        in_union = False
    node = types.get(avro, avro) if isinstance(avro, str) else avro
    kind = node if isinstance(node, str) else node.get("logicalType") or node["type"]
    base = node if isinstance(node, str) else node["type"]
    tag = (node["name"] if base in ("enum", "fixed", "record") else base) if in_union else ""
    parts: tuple[Field, ...] = ()
    match base:
        case "record":
            parts = tuple(_field(each, types) for each in node["fields"])
            dtype: pl.DataType = pl.Struct({part.name: part.dtype for part in parts})
        case "array":
            parts = (_field({"name": name, "type": node["items"]}, types),)
            dtype = pl.List(parts[0].dtype)
        case "map" | "null":
            raise BadFile(f"field {name}: a {base} can't be loaded from files")
        case _:
            dtype = _dtype(name, kind, base, node)
    if any(part.is_bytes for part in parts):
        raise BadFile(f"field {name}: bytes and decimals inside of others can't be loaded from files")
    return Field(name, kind, node, is_nullable, "default" in item, tag, dtype, parts)


def _dtype(name: str, kind: str, base: str, node: Any) -> pl.DataType:
    if kind == "decimal":
        if node["precision"] > MAX_DIGITS:
            raise BadFile(f"field {name}: decimals of more than {MAX_DIGITS} digits can't be loaded from files")
        return pl.Decimal(node["precision"], node.get("scale", 0))
    if base == "enum":
        return pl.String()
    if base == "fixed":
        if kind == "uuid":
            raise BadFile(f"field {name}: a uuid of bytes can't be loaded from files; one of text can")
        return pl.Binary()
    return LOGICAL.get(kind) or PRIMITIVES[base]


def written(field: Field, column: pl.Expr) -> pl.Expr:
    """A column of its type, as what JSON has of it."""
    if field.kind == "record":
        parts = [written(part, column.struct.field(part.name)).alias(part.name) for part in field.parts]
        value = pl.when(column.is_null()).then(None).otherwise(pl.struct(parts))
    elif field.kind == "array":
        value = column.list.eval(written(field.parts[0], pl.element()))
    elif field.kind in NANOSECONDS:
        value = column.cast(pl.Int64) // NANOSECONDS[field.kind]
    elif field.dtype.is_temporal():
        value = column.to_physical().cast(pl.Int64)
    else:
        value = column
    if field.tag:
        return pl.when(column.is_null()).then(None).otherwise(pl.struct(value.alias(field.tag)))
    return value


def written_dtype(field: Field, *, is_tagged: bool = True) -> pl.DataType:
    """The type of a column of what JSON has of it, as `written` makes it."""
    if field.kind == "record":
        dtype: pl.DataType = pl.Struct({part.name: written_dtype(part) for part in field.parts})
    elif field.kind == "array":
        dtype = pl.List(written_dtype(field.parts[0]))
    elif field.dtype.is_temporal():
        dtype = pl.Int64()
    else:
        dtype = field.dtype
    return pl.Struct({field.tag: dtype}) if field.tag and is_tagged else dtype


def read(field: Field, column: pl.Expr, *, is_tagged: bool = True) -> pl.Expr:
    """The reverse of `written`."""
    if field.tag and is_tagged:
        column = column.struct.field(field.tag)
    if field.kind == "record":
        parts = [read(part, column.struct.field(part.name)).alias(part.name) for part in field.parts]
        return pl.when(column.is_null()).then(None).otherwise(pl.struct(parts))
    if field.kind == "array":
        return column.list.eval(read(field.parts[0], pl.element()))
    if field.kind in NANOSECONDS:
        return (column * NANOSECONDS[field.kind]).cast(field.dtype)
    if field.dtype == pl.Date:
        return column.cast(pl.Int32).cast(field.dtype)
    return column.cast(field.dtype) if field.dtype.is_temporal() else column


def bytes_written(field: Field, column: pl.Series) -> pl.Series:
    """A column of bytes or decimals as texts with a character a byte."""
    if isinstance(field.dtype, pl.Decimal):
        size = field.node.get("size")
        scale = field.dtype.scale
        texts = [None if value is None else _unscaled(value, scale, size) for value in column]
    else:
        texts = [None if value is None else value.decode("latin-1") for value in column]
    return pl.Series(column.name, texts, dtype=pl.String)


def _unscaled(value: Any, scale: int, size: int | None) -> str:
    number = int(value.scaleb(scale))
    length = size or (number + (number < 0)).bit_length() // 8 + 1
    return number.to_bytes(length, "big", signed=True).decode("latin-1")
