import datetime
import enum
import json
from decimal import Decimal
from typing import ClassVar
from uuid import UUID

import msgspec
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from datapunk.errors import SchemaError, UndecodableMessage, UnencodableMessage
from datapunk.messages.message import Command
from datapunk.messages.plain import PlainCodec

JSON_TEXT = {"type": "string", "contentMediaType": "application/json"}


class Colour(enum.StrEnum):
    RED = "RED"


class Part(msgspec.Struct, frozen=True, kw_only=True):
    content: str
    number: int = 1


PART = {
    "type": "record",
    "name": "Part",
    "namespace": "t",
    "fields": [{"name": "content", "type": JSON_TEXT}, {"name": "number", "type": "int", "default": 1}],
}


class Make(Command, frozen=True, kw_only=True):
    message_type: ClassVar[str] = "t.Make"
    name: str
    content: str = "{}"
    perhaps: str | None = None
    parts: list[Part] = msgspec.field(default_factory=list)
    one: Part | None = None
    by_name: dict[str, Part] = msgspec.field(default_factory=dict)
    at: datetime.datetime | None = None
    price: Decimal | None = None
    id: UUID | None = None
    data: bytes = b""
    colour: Colour = Colour.RED


MAKE = {
    "type": "record",
    "name": "Make",
    "namespace": "t",
    "fields": [
        {"name": "name", "type": "string"},
        {"name": "content", "type": JSON_TEXT},
        {"name": "perhaps", "type": ["null", JSON_TEXT]},
        {"name": "parts", "type": {"type": "array", "items": PART}},
        {"name": "one", "type": ["null", "t.Part"]},
        {"name": "by_name", "type": {"type": "map", "values": "t.Part"}},
        {"name": "at", "type": ["null", {"type": "long", "logicalType": "timestamp-micros"}]},
        {"name": "price", "type": ["null", {"type": "bytes", "logicalType": "decimal", "precision": 9}]},
        {"name": "id", "type": ["null", {"type": "string", "logicalType": "uuid"}]},
        {"name": "data", "type": "bytes"},
        {"name": "colour", "type": {"type": "enum", "name": "Colour", "symbols": ["RED"]}},
    ],
}
codec = PlainCodec(Make, MAKE)


def test_json_text_is_embedded_wherever_it_stands():
    body = b"""{"name": "n", "content": {"type": "record",  "x": [1.0, 1e2]}, "perhaps": [1],
                "parts": [{"content": "text"}], "one": {"content": null, "number": 2},
                "by_name": {"k": {"content": 7}}}"""
    made = codec.decode(body)
    assert made == Make(
        name="n",
        content='{"type":"record","x":[1.0,1e2]}',
        perhaps="[1]",
        parts=[Part(content='"text"')],
        one=Part(content="null", number=2),
        by_name={"k": Part(content="7")},
    )
    assert json.loads(codec.encode(made))["content"] == {"type": "record", "x": [1.0, 100.0]}
    assert codec.decode(codec.encode(made)) == made


def test_an_escaped_nul_inside_of_embedded_json_stays_escaped():
    assert codec.decode(b'{"name": "n", "content": "\\u0000"}').content == '"\\u0000"'


def test_missing_fields_take_their_defaults():
    assert codec.decode(b'{"name": "n"}') == Make(name="n")
    assert codec.decode(b'{"name": "n", "perhaps": null}').perhaps is None


def test_times_decimals_uuids_bytes_and_enums_are_written_as_people_write_them():
    made = codec.decode(
        b'{"name": "n", "at": "2026-01-31T12:00:00Z", "price": "12.50", "data": "AAE=", "colour": "RED",'
        b' "id": "01936d5e-8f60-7c3a-9b1e-3f2a5b6c7d8e"}'
    )
    assert made.at == datetime.datetime(2026, 1, 31, 12, tzinfo=datetime.UTC)
    assert (made.price, made.data, made.colour) == (Decimal("12.50"), b"\x00\x01", Colour.RED)
    assert json.loads(codec.encode(made))["price"] == "12.50"


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b'{"name": 7}', r"t\.Make: Expected `str`, got `int` - at `\$\.name`"),
        (b'{"name": "n", "nmae": 1}', "unknown field `nmae`"),
        (b'{"name": "n", "parts": [{"content": 1, "x": 2}]}', "unknown field `x`"),
        (b"{}", "missing required field `name`"),
        (b"", "truncated"),
        (b'{"name": NaN}', "malformed"),
        (b'{"name": "n\\u0000"}', "NUL"),
        (b'{"name": "n", "by_name": {"\\u0000": {"content": 1}}}', "NUL"),
        (b'{"name": "\xff"}', "(?i)utf-?8"),
        (b'{"name": "n", "content": "\xff"}', "(?i)utf-?8"),
        (b'{"name": "n", "content": ' + b"[" * 10_000 + b"]" * 10_000 + b"}", "nested too deeply"),
    ],
)
def test_what_does_not_fit_is_told_with_its_place(body, told):
    with pytest.raises(UndecodableMessage, match=told):
        codec.decode(body)


def test_text_that_is_not_json_is_not_written_into_json():
    with pytest.raises(UnencodableMessage):
        codec.encode(Make(name="n", content="{oops"))


def test_a_type_whose_unions_cannot_be_told_apart_has_no_plain_form():
    class A(msgspec.Struct):
        x: int

    class B(msgspec.Struct):
        x: int

    class Ambiguous(Command, frozen=True, kw_only=True):
        message_type: ClassVar[str] = "t.Ambiguous"
        either: A | B

    Ambiguous.__annotations__["either"] = A | B
    fields = [{"name": "either", "type": [{"type": "record", "name": n, "fields": []} for n in ("A", "B")]}]
    with pytest.raises(SchemaError, match="use Avro JSON instead"):
        PlainCodec(Ambiguous, {"type": "record", "name": "Ambiguous", "namespace": "t", "fields": fields})


def test_a_field_that_python_reserves_keeps_its_name_in_json():
    class Move(Command, frozen=True, kw_only=True):
        message_type: ClassVar[str] = "t.Move"
        from_: str

    fields = [{"name": "from", "type": "string"}]
    move = PlainCodec(Move, {"type": "record", "name": "Move", "namespace": "t", "fields": fields})
    assert move.decode(b'{"from": "here"}') == Move(from_="here")
    assert move.encode(Move(from_="here")) == b'{"from":"here"}'


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.text(st.characters(exclude_categories=["Cs"]))
    | st.floats(allow_nan=False, width=32),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner),
    max_leaves=20,
).filter(lambda value: "inf" not in repr(value))


@given(st.text(st.characters(exclude_categories=["Cs"])), json_values, st.lists(json_values))
def test_whatever_is_embedded_comes_back_equal(name, content, parts):
    plain = {"name": name, "content": content, "parts": [{"content": part, "number": 1} for part in parts]}
    assume("\0" not in name)
    body = msgspec.json.encode(plain)
    again = json.loads(codec.encode(codec.decode(body)))
    assert {key: again[key] for key in plain} == json.loads(body)
