"""Values of every Avro type, chosen by hand."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec

from datapunk.messages.codec import Codec, codec_of_text
from tests.cross.avro_types import POINT, PRICE, SUIT, array, fixed, logical, mapping, one, record

LATIN = 'A\x00\x7f\x80ÿ\n"\\'  # bytes, a character each
NOTHING: Any = object()


@dataclass(frozen=True)
class Vector:
    """A value of the field `value` of a record.

    Attributes:
        name: unique.
        type: of the field.
        value: in Avro JSON.
        means: the Python value of a logical type.
    """

    name: str
    type: Any
    value: Any
    means: Any = NOTHING

    @property
    def schema(self) -> str:
        """Of the record."""
        return record(one(self.type))

    @property
    def codec(self) -> Codec[Any]:
        """Ours."""
        return codec_of_text(self.schema)

    @property
    def json(self) -> bytes:
        """As we write it."""
        return self.codec.encode_json(self.decoded)

    @property
    def binary(self) -> bytes:
        """As we write it."""
        return self.codec.encode_binary(self.decoded)

    @property
    def decoded(self) -> Any:
        """As we read it."""
        return self.codec.decode_json(msgspec.json.encode({"value": self.value}))


ELSEWHERE = {
    "type": "record",
    "name": "Place",
    "namespace": "else.where",
    "fields": [{"name": "name", "type": "string"}, {"name": "twin", "type": ["null", "Place", "cross.Vector"]}],
}
LIST = ["null", {"type": "record", "name": "Node", "fields": [
    {"name": "head", "type": "long"}, {"name": "tail", "type": ["null", "Node"]},
]}]  # fmt: skip
TREE = {"type": "record", "name": "Tree", "fields": [
    {"name": "label", "type": "string"}, {"name": "children", "type": array("Tree")},
]}  # fmt: skip
WIDE = [
    "null",
    "boolean",
    "long",
    "double",
    "string",
    "bytes",
    SUIT,
    fixed("Two", 2),
    POINT,
    array("int"),
    mapping("int"),
]
LONGEST = logical("bytes", "decimal", precision=38, scale=10)
PRICE_8 = fixed("Price", 8, logicalType="decimal", precision=18, scale=4)
DAY_MS = 24 * 60 * 60 * 1000
YEAR_1_MICROS, YEAR_9999_MICROS = -62135596800 * 10**6, 253402300799 * 10**6 + 999_999

VECTORS = [
    Vector("null", "null", None),
    Vector("boolean true", "boolean", True),
    Vector("boolean false", "boolean", False),
    Vector("int 0", "int", 0),
    Vector("int 64, of two bytes", "int", 64),
    Vector("int -65, of two bytes", "int", -65),
    Vector("int most", "int", 2**31 - 1),
    Vector("int least", "int", -(2**31)),
    Vector("long that no double holds", "long", 2**53 + 1),
    Vector("long most", "long", 2**63 - 1),
    Vector("long least", "long", -(2**63)),
    Vector("float 1.5", "float", 1.5),
    Vector("float 0.1", "float", 0.10000000149011612),
    Vector("float -0", "float", -0.0),
    Vector("float largest", "float", 3.4028234663852886e38),
    Vector("float smallest", "float", 1.401298464324817e-45),
    Vector("double 0.1", "double", 0.1),
    Vector("double whole", "double", 3.0),
    Vector("double -0", "double", -0.0),
    Vector("double largest", "double", 1.7976931348623157e308),
    Vector("double smallest", "double", 5e-324),
    Vector("double beyond whole numbers", "double", 1e23),
    Vector("bytes none", "bytes", ""),
    Vector("bytes of all kinds", "bytes", LATIN),
    Vector("bytes all 256", "bytes", bytes(range(256)).decode("latin-1")),
    Vector("string empty", "string", ""),
    Vector("string Latin", "string", "Zürich, naïve, ÿ"),
    Vector("string beyond Latin", "string", "気象台 Ελλάδα 𝄞 👩‍🔬 e\u0301"),
    Vector("string to be escaped", "string", "\"\\/\b\f\n\r\t\u0001\u007f\u2028\u2029"),
    Vector("fixed of one", fixed("One", 1), "ÿ"),
    Vector("fixed of all kinds", fixed("Some", 8), LATIN),
    Vector("enum", SUIT, "_X1"),
    Vector("array empty", array("long"), []),
    Vector("array of ints", array("int"), [0, -1, 2**31 - 1]),
    Vector("array of many", array("string"), [f"number {n}" for n in range(100)]),
    Vector("array of arrays", array(array("boolean")), [[], [True], [False, True]]),
    Vector("array of unions", array(["null", "int", "string"]), [None, {"int": 1}, {"string": "ü"}]),
    Vector("map empty", mapping("int"), {}),
    Vector("map of one", mapping("string"), {"ключ": "值"}),
    Vector("map of several", mapping("double"), {"a": 1.5, "b": -2.25, "a b\"c": 0.0}),
    Vector("map with an empty key", mapping("int"), {"": 1}),
    Vector("map of records", mapping(POINT), {"p": {"x": 1, "y": -1}}),
    Vector("union nullable, null", ["null", "string"], None),
    Vector("union nullable, string", ["null", "string"], {"string": "null"}),
    Vector("union nullable, null at the end", ["long", "null"], {"long": -1}),
    Vector("union of one", ["int"], {"int": 7}),
    Vector("union of int and string: a string of digits", ["int", "string"], {"string": "1"}),
    Vector("union of bytes and string: bytes", ["string", "bytes"], {"bytes": "ÿ"}),
    Vector("union of float and double: a float", ["float", "double"], {"float": 1.5}),
    Vector("union wide, null", WIDE, None),
    Vector("union wide, boolean", WIDE, {"boolean": True}),
    Vector("union wide, long", WIDE, {"long": 2**31}),
    Vector("union wide, double", WIDE, {"double": 0.5}),
    Vector("union wide, string", WIDE, {"string": "HEARTS"}),
    Vector("union wide, bytes", WIDE, {"bytes": LATIN}),
    Vector("union wide, enum", WIDE, {"cross.Suit": "HEARTS"}),
    Vector("union wide, fixed", WIDE, {"cross.Two": "\x00ÿ"}),
    Vector("union wide, record", WIDE, {"cross.Point": {"x": 1, "y": 2}}),
    Vector("union wide, array", WIDE, {"array": [1, 2]}),
    Vector("union wide, map", WIDE, {"map": {"int": 1}}),
    Vector("union of two records", [POINT, {**POINT, "name": "Pixel"}], {"cross.Pixel": {"x": 3, "y": 4}}),
    Vector("record nested", POINT, {"x": -1, "y": 1}),
    Vector("record without fields", {"type": "record", "name": "Nothing", "fields": []}, {}),
    Vector("record of another namespace", ELSEWHERE, {
        "name": "Köln", "twin": {"else.where.Place": {"name": "Tours", "twin": None}},
    }),
    Vector("record within itself, none", LIST, None),
    Vector("record within itself, three", LIST, {"cross.Node": {
        "head": 1, "tail": {"cross.Node": {"head": 2, "tail": {"cross.Node": {"head": 3, "tail": None}}}},
    }}),
    Vector("tree", TREE, {"label": "root", "children": [
        {"label": "left", "children": []}, {"label": "right", "children": [{"label": "leaf", "children": []}]},
    ]}),
    Vector("decimal 12.50", PRICE, "\x04â", Decimal("12.50")),
    Vector("decimal 0", PRICE, "\x00", Decimal("0.00")),
    Vector("decimal -0.01", PRICE, "ÿ", Decimal("-0.01")),
    Vector("decimal 1.28, with a sign byte", PRICE, "\x00\x80", Decimal("1.28")),
    Vector("decimal -1.28, without", PRICE, "\x80", Decimal("-1.28")),
    Vector("decimal most", PRICE, "\x0fB?", Decimal("9999.99")),
    Vector("decimal of 38 digits", LONGEST, (-(10**38) + 1).to_bytes(16, "big", signed=True).decode("latin-1"),
           Decimal("-9999999999999999999999999999.9999999999")),
    Vector("decimal on fixed, -0.0001", PRICE_8, "ÿ" * 8, Decimal("-0.0001")),
    Vector("decimal on fixed, most", PRICE_8, (10**18 - 1).to_bytes(8, "big").decode("latin-1"),
           Decimal("99999999999999.9999")),
    Vector("date 0", logical("int", "date"), 0, date(1970, 1, 1)),
    Vector("date leap", logical("int", "date"), 19782, date(2024, 2, 29)),
    Vector("date first", logical("int", "date"), -719162, date(1, 1, 1)),
    Vector("date last", logical("int", "date"), 2932896, date(9999, 12, 31)),
    Vector("time-millis midnight", logical("int", "time-millis"), 0, time()),
    Vector("time-millis last", logical("int", "time-millis"), DAY_MS - 1, time(23, 59, 59, 999_000)),
    Vector("time-micros last", logical("long", "time-micros"), DAY_MS * 1000 - 1, time(23, 59, 59, 999_999)),
    Vector("timestamp-millis", logical("long", "timestamp-millis"), 1357034400123,
           datetime(2013, 1, 1, 10, 0, 0, 123_000, UTC)),
    Vector("timestamp-millis before 1970", logical("long", "timestamp-millis"), -1,
           datetime(1969, 12, 31, 23, 59, 59, 999_000, UTC)),
    Vector("timestamp-micros first", logical("long", "timestamp-micros"), YEAR_1_MICROS, datetime(1, 1, 1, tzinfo=UTC)),
    Vector("timestamp-micros last", logical("long", "timestamp-micros"), YEAR_9999_MICROS,
           datetime(9999, 12, 31, 23, 59, 59, 999_999, UTC)),
    Vector("timestamp-nanos, which is a long to us", logical("long", "timestamp-nanos"), 1357034400123456789),
    Vector("local-timestamp-millis", logical("long", "local-timestamp-millis"), 1357034400123,
           datetime(2013, 1, 1, 10, 0, 0, 123_000)),
    Vector("local-timestamp-micros", logical("long", "local-timestamp-micros"), -1,
           datetime(1969, 12, 31, 23, 59, 59, 999_999)),
    Vector("uuid", logical("string", "uuid"), "01936d5e-8f60-7c3a-9b1e-3f2a5b6c7d8e",
           UUID("01936d5e-8f60-7c3a-9b1e-3f2a5b6c7d8e")),
    Vector("uuid on fixed", fixed("Id", 16, logicalType="uuid"),
           UUID("01936d5e-8f60-7c3a-9b1e-3f2a5b6c7dff").bytes.decode("latin-1"),
           UUID("01936d5e-8f60-7c3a-9b1e-3f2a5b6c7dff")),
    Vector("logical type in a union", ["null", logical("long", "timestamp-micros")], {"long": 1}),
]  # fmt: skip
