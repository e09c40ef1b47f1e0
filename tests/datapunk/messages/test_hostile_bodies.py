"""Whatever a body is, it's decoded or refused: in time and memory that its length accounts for, and with a reason."""

from __future__ import annotations

import json
import resource
import struct
from contextlib import suppress
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datapunk.errors import UndecodableMessage, UnencodableMessage
from datapunk.messages import avro_values
from datapunk.messages.codec import Codec, codec_of_text
from tests.properties import examples

MEMORY = 256 << 20  # bytes that a refusal may take at most


def codec_of(*types: Any) -> Codec[Any]:
    fields = [{"name": name, "type": avro} for name, avro in zip("abcdefgh", types, strict=False)]
    return codec_of_text(json.dumps({"type": "record", "name": "R", "fields": fields}))


TREE = codec_of(["null", "R"], {"type": "array", "items": "R"}, {"type": "map", "values": "R"})
LEAF = b'{"a":null,"b":[],"c":{}}'


def varint(number: int) -> bytes:
    """Zig-zag, seven bits a byte; of any size."""
    rest = number << 1 if number >= 0 else (-number << 1) - 1
    made = bytearray()
    while rest > 127:
        made.append(rest & 127 | 128)
        rest >>= 7
    return bytes([*made, rest])


def deep_json(levels: int) -> bytes:
    return b'{"b":[],"c":{},"a":{"R":' * levels + LEAF + b"}}" * levels


JSON_BODIES = {
    "10,000 deep": (TREE, deep_json(10_000), "too deeply"),
    "10,000 arrays": (TREE, b'{"a":null,"c":{},"b":' + b"[" * 10_000 + b"]" * 10_000 + b"}", "."),
    "deeper than others would take": (TREE, deep_json(65), "more than 64 deep"),
    "NaN": (codec_of("double"), b'{"a":NaN}', "malformed"),
    "Infinity": (codec_of("double"), b'{"a":Infinity}', "malformed"),
    "beyond all doubles": (codec_of("double"), b'{"a":1e400}', "out of range"),
    "beyond all floats": (codec_of("float"), b'{"a":1e39}', r"at `\$.a`"),
    "invalid UTF-8": (codec_of("string"), b'{"a":"\xff\xfe"}', "UTF-8"),
    "UTF-8 of half a character": (codec_of("string"), b'{"a":"\xed\xa0\x80"}', "UTF-8"),
    "half a character": (codec_of("string"), b'{"a":"\\ud800"}', "truncated|surrogate"),
    "NUL": (codec_of("string"), b'{"a":"\\u0000"}', r"NUL.*at `\$.a`"),
    "NUL in an array": (codec_of({"type": "array", "items": "string"}), b'{"a":["","\\u0000"]}', "NUL"),
    "NUL in a map": (codec_of({"type": "map", "values": "string"}), b'{"a":{"x":"\\u0000"}}', "NUL"),
    "NUL in a key": (codec_of({"type": "map", "values": "string"}), b'{"a":{"\\u0000":"x"}}', "NUL"),
    "NUL in a union": (codec_of(["null", "string"]), b'{"a":{"string":"\\u0000"}}', "NUL"),
    "an int of 33 bits": (codec_of("int"), b'{"a":2147483648}', r"at `\$.a`"),
    "a long of 65 bits": (codec_of("long"), b'{"a":9223372036854775808}', r"at `\$.a`"),
    "a number of 100,000 digits": (codec_of("long"), b'{"a":' + b"9" * 100_000 + b"}", r"."),
    "a fraction for a long": (codec_of("long"), b'{"a":1.5}', r"at `\$.a`"),
    "a boolean for a long": (codec_of("long"), b'{"a":true}', r"at `\$.a`"),
    "an unknown field": (codec_of("int"), b'{"a":1,"x":1}', "unknown field `x`"),
    "a field too few": (codec_of("int", "int"), b'{"a":1}', "missing required field `b`"),
    "an untagged branch": (codec_of(["null", "int"]), b'{"a":1}', r"at `\$.a`"),
    "an unknown branch": (codec_of(["null", "int"]), b'{"a":{"long":1}}', "unknown field `long`"),
    "two branches": (codec_of(["int", "string"]), b'{"a":{"int":1,"string":""}}', "exactly one branch"),
    "no branch": (codec_of(["int", "string"]), b'{"a":{}}', "exactly one branch"),
    "an unknown symbol": (
        codec_of({"type": "enum", "name": "E", "symbols": ["A"]}),
        b'{"a":"B"}',
        "Invalid enum value 'B'",
    ),
    "a huge symbol": (
        codec_of({"type": "enum", "name": "E", "symbols": ["A"]}),
        b'{"a":"' + b"x" * 1_000_000 + b'"}',
        r"Invalid enum value.*at `\$.a`",
    ),
    "a huge field": (codec_of("int"), b'{"' + b"x" * 1_000_000 + b'":1}', "unknown field"),
    "no bytes": (codec_of("bytes"), '{"a":"\u0100"}'.encode(), r"latin-1.*at `\$.a`"),
    "bytes too few": (
        codec_of({"type": "fixed", "name": "F", "size": 2}),
        b'{"a":"x"}',
        "1 bytes where the type has 2",
    ),
    "no uuid": (codec_of({"type": "string", "logicalType": "uuid"}), b'{"a":"x"}', "Invalid UUID"),
    "no date": (codec_of({"type": "int", "logicalType": "date"}), b'{"a":2147483647}', r"at `\$.a`"),
    "no time": (codec_of({"type": "int", "logicalType": "time-millis"}), b'{"a":-1}', "not a time of day"),
    "no timestamp": (
        codec_of({"type": "long", "logicalType": "timestamp-micros"}),
        b'{"a":9223372036854775807}',
        r"at `\$.a`",
    ),
    "too many digits": (
        codec_of({"type": "bytes", "logicalType": "decimal", "precision": 2}),
        '{"a":"\u007f"}'.encode(),
        "more than 2 digits",
    ),
    "a million digits": (
        codec_of({"type": "bytes", "logicalType": "decimal", "precision": 1000}),
        b'{"a":"' + b"x" * 1_000_000 + b'"}',
        "more than 1000 digits",
    ),
    "text after the end": (codec_of("int"), b'{"a":1}{', "trailing"),
    "nothing": (codec_of("int"), b"", "truncated"),
}


@pytest.mark.parametrize("name", JSON_BODIES)
def test_json_that_is_not_of_the_schema_is_refused_with_a_reason(name: str) -> None:
    codec, body, reason = JSON_BODIES[name]
    with pytest.raises(UndecodableMessage, match=reason) as caught:
        codec.decode_json(body)
    assert len(str(caught.value)) < 1_000


def test_of_a_key_that_is_there_twice_the_last_counts() -> None:
    assert codec_of("int").decode_json(b'{"a":1,"a":2}').a == 2


STRINGS = {"type": "array", "items": "string"}
FIXED = {"type": "fixed", "name": "F", "size": 1 << 20}
BINARY_BODIES = {
    "2 ** 60 items": (codec_of(STRINGS), varint(2**60), "1,?152,?921.* items are announced"),
    "2 ** 60 items, by blocks": (codec_of(STRINGS), varint(-(2**60)) + varint(0), "items are announced"),
    "2 ** 60 entries": (codec_of({"type": "map", "values": "string"}), varint(2**60), "items are announced"),
    "items of a megabyte": (codec_of({"type": "array", "items": FIXED}), varint(9) + bytes(9), "cut off"),
    "a string of 2 ** 60 bytes": (codec_of("string"), varint(2**60) + b"x", "cut off"),
    "bytes of 2 ** 60": (codec_of("bytes"), varint(2**60) + b"x", "cut off"),
    "a string of -1 bytes": (codec_of("string"), varint(-1) + b"x", "negative"),
    "an int of 33 bits": (codec_of("int"), varint(2**31), "32 bits"),
    "a long of 65 bits": (codec_of("long"), varint(2**63), "64 bits"),
    "a number without an end": (codec_of("long"), b"\xff" * 1_000_000, "64 bits"),
    "branch 2 of 2": (codec_of(["null", "int"]), varint(2) + varint(1), "no branch 2"),
    "branch -1": (codec_of(["null", "int"]), varint(-1) + varint(1), "no branch -1"),
    "branch 3 of 3": (codec_of(["null", "int", "string"]), varint(3), "no branch 3"),
    "branch 2 ** 60": (codec_of(["null", "int"]), varint(2**60), "no branch"),
    "symbol 1 of 1": (codec_of({"type": "enum", "name": "E", "symbols": ["A"]}), varint(1), "no symbol 1"),
    "symbol -1": (codec_of({"type": "enum", "name": "E", "symbols": ["A"]}), varint(-1), "no symbol -1"),
    "boolean 2": (codec_of("boolean"), b"\2", "2 is not a boolean"),
    "NaN": (codec_of("double"), struct.pack("<d", float("nan")), "not a finite number"),
    "Infinity": (codec_of("float"), struct.pack("<f", float("inf")), "not a finite number"),
    "NUL": (codec_of("string"), varint(1) + b"\0", "NUL"),
    "NUL in a key": (codec_of({"type": "map", "values": "int"}), b"\2\2\0\2\0", "NUL"),
    "invalid UTF-8": (codec_of("string"), varint(1) + b"\xff", "UTF-8"),
    "half a character": (codec_of("string"), varint(3) + b"\xed\xa0\x80", "UTF-8"),
    "10,000 deep": (TREE, varint(1) * 10_000 + bytes(30_000), "more than 64 deep"),
    "10,000,000 deep in arrays": (TREE, (varint(0) + varint(1)) * 5_000_000, "more than 64 deep"),
    "a byte too many": (codec_of("int"), b"\2\0", "1 bytes are left over"),
    "no date": (codec_of({"type": "int", "logicalType": "date"}), varint(2**31 - 1), "R: ."),
    "no uuid": (codec_of({"type": "string", "logicalType": "uuid"}), varint(1) + b"x", "UUID"),
}


@pytest.mark.parametrize("name", BINARY_BODIES)
def test_binary_that_is_not_of_the_schema_is_refused_with_a_reason(name: str) -> None:
    codec, body, reason = BINARY_BODIES[name]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(UndecodableMessage, match=reason):
        codec.decode_binary(body)
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 < MEMORY


EVERYTHING = codec_of(
    {"type": "record", "name": "S", "fields": [{"name": "x", "type": "string"}]},
    {"type": "array", "items": ["null", "S", "double"]},
    {"type": "map", "values": "bytes"},
    {"type": "fixed", "name": "F", "size": 3},
    {"type": "enum", "name": "E", "symbols": ["A", "B"]},
    {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2},
    "float",
    {"type": "long", "logicalType": "timestamp-micros"},
)
WHOLE = EVERYTHING.encode_binary(
    EVERYTHING.decode_json(
        b'{"a":{"x":"text"},"b":[null,{"S":{"x":"s"}},{"double":1.5}],"c":{"k":"v"},"d":"abc","e":"B","f":"\\u0001",'
        b'"g":0.5,"h":1700000000000000}'
    )
)


@pytest.mark.parametrize("end", range(len(WHOLE)))
def test_binary_that_is_cut_off_anywhere_is_refused(end: int) -> None:
    with pytest.raises(UndecodableMessage, match=r"cut off|announced"):
        EVERYTHING.decode_binary(WHOLE[:end])


@given(st.binary(max_size=60))
@settings(max_examples=examples(500))
def test_any_bytes_are_decoded_or_refused(body: bytes) -> None:
    for codec in (EVERYTHING, TREE):
        for decode in (codec.decode_binary, codec.decode_json, codec.decode_json_array):
            with suppress(UndecodableMessage):
                decode(body)


@given(st.integers(0, len(WHOLE) - 1), st.integers(0, 255))
@settings(max_examples=examples(500))
def test_a_changed_byte_gives_a_message_or_a_refusal(at: int, byte: int) -> None:
    try:
        message = EVERYTHING.decode_binary(WHOLE[:at] + bytes([byte]) + WHOLE[at + 1 :])
    except UndecodableMessage:
        return
    assert EVERYTHING.decode_json(EVERYTHING.encode_json(message)) == message


def test_what_is_taken_as_json_is_taken_as_binary() -> None:
    message = TREE.decode_json(deep_json(64))
    assert TREE.decode_binary(TREE.encode_binary(message)) == message


UNFIT: dict[str, tuple[Codec[Any], Any]] = {
    "NaN": (codec_of("double"), float("nan")),
    "Infinity": (codec_of("float"), float("inf")),
    "NUL": (codec_of("string"), "\0"),
    "half a character": (codec_of("string"), "\ud800"),
    "too large": (codec_of("int"), 2**31),
    "a boolean for a number": (codec_of("long"), True),
    "of no branch": (codec_of(["null", "int", "string"]), 1.5),
    "a decimal of a billion digits": (
        codec_of({"type": "bytes", "logicalType": "decimal", "precision": 9}),
        Decimal("1E+999999999"),
    ),
    "a decimal a billionth as large": (
        codec_of({"type": "bytes", "logicalType": "decimal", "precision": 9}),
        Decimal("1E-999999999"),
    ),
}


@pytest.mark.parametrize("name", UNFIT)
def test_what_no_schema_could_carry_is_not_encoded(name: str) -> None:
    codec, value = UNFIT[name]
    record = type(make(codec))
    for encode in (codec.encode_json, codec.encode_binary):
        with pytest.raises(UnencodableMessage, match=r"at `\$.a`|surrogates"):
            encode(record(a=value))


def make(codec: Codec[Any]) -> Any:
    """Some record of a codec of one field."""
    for text in (b'{"a":1}', b'{"a":""}', b'{"a":null}', '{"a":"\u0001"}'.encode()):
        try:
            return codec.decode_json(text)
        except UndecodableMessage:
            continue
    raise AssertionError("no value fits")


@pytest.mark.parametrize(
    ("value", "precision", "scale", "data"),
    [
        ("0E+999999999", 1, 0, b"\0"),
        ("1.10", 2, 1, b"\x0b"),
        ("-1.28", 3, 2, b"\x80"),
        ("1E+2", 3, 0, b"\x64"),
        ("0.00", 5, 1, b"\0"),
    ],
)
def test_decimals_are_as_short_as_possible(value: str, precision: int, scale: int, data: bytes) -> None:
    assert avro_values.decimal_to_bytes(Decimal(value), precision, scale, None) == data
    assert avro_values.bytes_to_decimal(data, precision, scale) == Decimal(value)
