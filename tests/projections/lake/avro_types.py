"""Every type of Avro, values of it in Avro JSON, and the way back from plain JSON to Avro JSON."""

from __future__ import annotations

import json
import struct
from base64 import b64decode
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Context, Decimal
from typing import Any

from hypothesis import strategies as st

Json = Any
_EXACT = Context(prec=2000)
EPOCH = datetime(1970, 1, 1)
LEAST, MOST = datetime.min - EPOCH, datetime.max - EPOCH
MILLISECOND, MICROSECOND = timedelta(milliseconds=1), timedelta(microseconds=1)
DAY_0 = date(1970, 1, 1).toordinal()

TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)
BYTES = st.binary(max_size=20).map(lambda data: data.decode("latin-1"))
INTS = st.integers(-(2**31), 2**31 - 1)
LONGS = st.integers(-(2**63), 2**63 - 1)
FLOATS = st.floats(width=32, allow_nan=False, allow_infinity=False)
DOUBLES = st.floats(allow_nan=False, allow_infinity=False)


@dataclass(frozen=True)
class AvroType:
    """A type as a schema has it, and its values in Avro JSON."""

    avro: Json
    values: st.SearchStrategy[Json]


def _logical(kind: str, logical: str, least: int, most: int) -> AvroType:
    return AvroType({"type": kind, "logicalType": logical}, st.integers(least, most))


def _decimal(kind: dict[str, Json], precision: int, scale: int, size: int | None = None) -> AvroType:
    def written(unscaled: int) -> str:
        length = size or (unscaled + (unscaled < 0)).bit_length() // 8 + 1
        return unscaled.to_bytes(length, "big", signed=True).decode("latin-1")

    most = 10**precision - 1
    avro = {**kind, "logicalType": "decimal", "precision": precision, "scale": scale}
    return AvroType(avro, st.integers(-most, most).map(written))


SCALARS = {
    "string": AvroType("string", TEXTS),
    "int": AvroType("int", INTS),
    "long": AvroType("long", LONGS),
    "float": AvroType("float", FLOATS),
    "double": AvroType("double", DOUBLES),
    "boolean": AvroType("boolean", st.booleans()),
    "bytes": AvroType("bytes", BYTES),
    "fixed": AvroType(
        {"type": "fixed", "name": "Four", "size": 4},
        st.binary(min_size=4, max_size=4).map(lambda data: data.decode("latin-1")),
    ),
    "enum": AvroType(
        {"type": "enum", "name": "Suit", "symbols": ["SPADES", "mro", "None", "x_"]},
        st.sampled_from(["SPADES", "mro", "None", "x_"]),
    ),
    "uuid": AvroType({"type": "string", "logicalType": "uuid"}, st.uuids().map(str)),
    "date": _logical("int", "date", 1 - DAY_0, date.max.toordinal() - DAY_0),
    "time_millis": _logical("int", "time-millis", 0, 86_399_999),
    "time_micros": _logical("long", "time-micros", 0, 86_399_999_999),
    "timestamp_millis": _logical("long", "timestamp-millis", LEAST // MILLISECOND, MOST // MILLISECOND),
    "timestamp_micros": _logical("long", "timestamp-micros", LEAST // MICROSECOND, MOST // MICROSECOND),
    "local_timestamp_millis": _logical("long", "local-timestamp-millis", LEAST // MILLISECOND, MOST // MILLISECOND),
    "local_timestamp_micros": _logical("long", "local-timestamp-micros", LEAST // MICROSECOND, MOST // MICROSECOND),
    "decimal": _decimal({"type": "bytes"}, 1000, 500),
    "odd": AvroType({"type": "long", "logicalType": "of-our-own"}, LONGS),
    "money": _decimal({"type": "fixed", "name": "Money", "size": 8}, 18, 2, 8),
}
_INNER = {
    "type": "record",
    "name": "Inner",
    "fields": [
        {"name": "class", "type": "int"},
        {"name": "_from", "type": ["null", {"type": "int", "logicalType": "date"}]},
    ],
}
STRUCTURES = {
    "array": AvroType(
        {"type": "array", "items": ["null", "string"]},
        st.lists(st.none() | TEXTS.map(lambda v: {"string": v}), max_size=3),
    ),
    "map": AvroType({"type": "map", "values": "double"}, st.dictionaries(TEXTS, DOUBLES, max_size=3)),
    "record": AvroType(
        _INNER,
        st.fixed_dictionaries({"class": INTS, "_from": st.none() | st.integers(-9999, 9999).map(lambda v: {"int": v})}),
    ),
    "bytes_in_array": AvroType({"type": "array", "items": "bytes"}, st.lists(BYTES, max_size=3)),
    "union": AvroType(
        ["null", "boolean", "int", "long", "float", "double", "string", "bytes", {"type": "array", "items": "long"}],
        st.none()
        | st.booleans().map(lambda v: {"boolean": v})
        | INTS.map(lambda v: {"int": v})
        | INTS.map(lambda v: {"long": v})
        | FLOATS.map(lambda v: {"float": v})
        | DOUBLES.map(lambda v: {"double": v})
        | TEXTS.map(lambda v: {"string": v})
        | BYTES.map(lambda v: {"bytes": v})
        | st.lists(LONGS, max_size=3).map(lambda v: {"array": v}),
    ),
    "null": AvroType("null", st.none()),
}
TYPES = {**SCALARS, **STRUCTURES}


def tag(avro: Json) -> str:
    """A type's name as a branch of a union."""
    if isinstance(avro, str):
        return avro
    return f"test.{avro['name']}" if "name" in avro else str(avro["type"])


def nullable(type_: AvroType) -> AvroType:
    """The union of null and a type."""
    name = tag(type_.avro)
    return AvroType(["null", type_.avro], st.none() | type_.values.map(lambda value: {name: value}))


def avro_json(plain: Json, avro: Json) -> Json:
    """A value of a column, as FindRecords gives it, in Avro JSON."""
    if isinstance(avro, list):
        branches = [branch for branch in avro if branch != "null"]
        if plain is None or len(branches) > 1:
            return plain
        return {tag(branches[0]): avro_json(plain, branches[0])}
    node = avro if isinstance(avro, dict) else {"type": avro}
    match node.get("logicalType", node["type"]):
        case "bytes" | "fixed":
            return b64decode(plain, validate=True).decode("latin-1")
        case "float":
            return struct.unpack("f", struct.pack("f", plain))[0]
        case "date":
            return date.fromisoformat(plain).toordinal() - DAY_0
        case "time-millis" | "time-micros" as unit:
            return (datetime.combine(EPOCH, time.fromisoformat(plain)) - EPOCH) // _unit(unit)
        case "timestamp-millis" | "timestamp-micros" as unit:
            assert plain.endswith("Z")
            return (datetime.fromisoformat(plain) - EPOCH.replace(tzinfo=UTC)) // _unit(unit)
        case "local-timestamp-millis" | "local-timestamp-micros" as unit:
            return (datetime.fromisoformat(plain) - EPOCH) // _unit(unit)
        case "decimal":
            scaled = Decimal(plain).scaleb(node["scale"], _EXACT)
            unscaled = int(scaled)
            length = node.get("size") or (unscaled + (unscaled < 0)).bit_length() // 8 + 1
            return unscaled.to_bytes(length, "big", signed=True).decode("latin-1")
        case _:
            return plain


def _unit(logical: str) -> timedelta:
    return MILLISECOND if logical.endswith("millis") else MICROSECOND


def exact(value: Json) -> str:
    """A text that is the same only for the same value: 1, 1.0 and true differ, and so do 0.0 and -0.0."""
    return json.dumps(value, sort_keys=True)
