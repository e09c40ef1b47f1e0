"""Records that were written with one schema and are read with another, chosen by hand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

from datapunk.messages.codec import codec_of_text
from datapunk.messages.resolution import resolve
from tests.cross.avro_types import POINT, PRICE, SUIT, array, fixed, mapping, one, record


@dataclass(frozen=True)
class Resolution:
    """A record written with one schema and read with another.

    Attributes:
        name: unique.
        writer: the fields it was written with.
        value: the record, in the writer's Avro JSON.
        reader: the fields it's read with.
        expected: the record in the reader's Avro JSON.
        is_renamed: whether the record is called otherwise in the reader's schema, by an alias.
    """

    name: str
    writer: list[dict[str, Any]]
    value: Any
    reader: list[dict[str, Any]]
    expected: Any
    is_renamed: bool = False

    @property
    def schema(self) -> str:
        """The writer's."""
        return record(*self.writer)

    @property
    def reader_schema(self) -> str:
        """The reader's."""
        if self.is_renamed:
            return record(*self.reader, name="Renamed", aliases=["Vector"])
        return record(*self.reader)

    @property
    def json(self) -> bytes:
        """As we write it, with the writer's schema."""
        codec = codec_of_text(self.schema)
        return codec.encode_json(codec.decode_json(msgspec.json.encode(self.value)))

    @property
    def binary(self) -> bytes:
        """As we write it, with the writer's schema."""
        codec = codec_of_text(self.schema)
        return codec.encode_binary(codec.decode_json(msgspec.json.encode(self.value)))

    @property
    def resolved(self) -> bytes:
        """As we read it with the reader's schema: in Avro JSON."""
        writer, reader = codec_of_text(self.schema), codec_of_text(self.reader_schema)
        written = msgspec.json.decode(writer.encode_json(writer.decode_binary(self.binary)))
        value = resolve(written, writer.schema.normal, reader.schema.normal)
        return reader.encode_json(reader.decode_json(msgspec.json.encode(value)))


def becoming(what: str, writer: Any, value: Any, reader: Any, expected: Any) -> Resolution:
    """A value of one type read as another's."""
    return Resolution(what, [one(writer)], {"value": value}, [one(reader)], {"value": expected})


def default(what: str, type: Any, value: Any, expected: Any = None) -> Resolution:
    """A field that the writer didn't know, with its default as the schema has it and as a value."""
    full = value if expected is None else expected
    reader = [one("int", "old"), one(type, default=value)]
    return Resolution(f"default {what}", [one("int", "old")], {"old": 1}, reader, {"old": 1, "value": full})


FEWER = {**SUIT, "symbols": ["SPADES", "OTHER"], "default": "OTHER"}
LARGER = {**POINT, "fields": [*POINT["fields"], one("string", "label", default="ohne Ü")]}
RENAMED = {**POINT, "fields": [one("int", "left", aliases=["x"]), one("int", "y")]}

RESOLUTIONS = [
    default("null", ["null", "string"], None),
    default("union's first branch", ["string", "null"], "ü", {"string": "ü"}),
    default("boolean", "boolean", True),
    default("int", "int", -(2**31)),
    default("long", "long", 2**31),
    default("float", "float", 1.5),
    default("double", "double", -0.25),
    default("double from a whole number", "double", 3, 3.0),
    default("bytes", "bytes", "\x00ÿ"),
    default("string", "string", "気象台"),
    default("fixed", fixed("Two", 2), "\x00ÿ"),
    default("enum", SUIT, "HEARTS"),
    default("array", array("int"), [1, 2]),
    default("map", mapping("string"), {"a": "b"}),
    default("record", POINT, {"x": 1, "y": 2}),
    default("record with a default inside", LARGER, {"x": 1, "y": 2}, {"x": 1, "y": 2, "label": "ohne Ü"}),
    default("decimal", PRICE, "\x04â"),
    Resolution("field removed", [one("string", "gone"), one("int")], {"gone": "x", "value": 1},
               [one("int")], {"value": 1}),
    Resolution("fields in another order", [one("int", "a"), one("string", "b")], {"a": 1, "b": "2"},
               [one("string", "b"), one("int", "a")], {"b": "2", "a": 1}),
    Resolution("field renamed", [one("int", "before")], {"before": 5}, [one("int", aliases=["before"])], {"value": 5}),
    Resolution("record renamed", [one("int")], {"value": 5}, [one("int")], {"value": 5}, is_renamed=True),
    becoming("inner field renamed", POINT, {"x": 1, "y": 2}, RENAMED, {"left": 1, "y": 2}),
    becoming("inner field added", POINT, {"x": 1, "y": 2}, LARGER, {"x": 1, "y": 2, "label": "ohne Ü"}),
    becoming("inner record renamed", POINT, {"x": 1, "y": 2},
             {**POINT, "name": "Pixel", "aliases": ["Point"]}, {"x": 1, "y": 2}),
    becoming("enum renamed", SUIT, "HEARTS", {**SUIT, "name": "Color", "aliases": ["cross.Suit"]}, "HEARTS"),
    becoming("fixed renamed", fixed("Two", 2), "\x00ÿ", fixed("Pair", 2, aliases=["Two"]), "\x00ÿ"),
    becoming("enum's symbol gone", SUIT, "HEARTS", FEWER, "OTHER"),
    becoming("enum's symbol kept", SUIT, "SPADES", FEWER, "SPADES"),
    becoming("int to long", "int", -1, "long", -1),
    becoming("int to float", "int", 3, "float", 3.0),
    becoming("int to double", "int", 2**31 - 1, "double", 2147483647.0),
    becoming("long to float", "long", 2**24 + 1, "float", 16777216.0),
    becoming("long to double", "long", 2**53 + 1, "double", 9007199254740992.0),
    becoming("float to double", "float", 0.10000000149011612, "double", 0.10000000149011612),
    becoming("string to bytes", "string", "ü", "bytes", "Ã¼"),
    becoming("bytes to string", "bytes", "Ã¼", "string", "ü"),
    becoming("array's items to long", array("int"), [1, -1], array("long"), [1, -1]),
    becoming("map's values to double", mapping("int"), {"a": 1}, mapping("double"), {"a": 1.0}),
    becoming("string to nullable", "string", "a", ["null", "string"], {"string": "a"}),
    becoming("int to a union with long", "int", 1, ["null", "long"], {"long": 1}),
    becoming("nullable to string", ["null", "string"], {"string": "a"}, "string", "a"),
    becoming("union in another order", ["null", "string", "int"], {"int": 1}, ["int", "string", "null"], {"int": 1}),
    becoming("union wider", ["null", "int"], {"int": 1}, ["null", "string", "long"], {"long": 1}),
    becoming("union of renamed records", [POINT, {**POINT, "name": "Pixel"}], {"cross.Pixel": {"x": 3, "y": 4}},
             [POINT, {**POINT, "name": "Dot", "aliases": ["Pixel"]}], {"cross.Dot": {"x": 3, "y": 4}}),
]  # fmt: skip
