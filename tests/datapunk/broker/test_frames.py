"""Our frames against pamqp's, both ways."""

from __future__ import annotations

import random
from contextlib import suppress
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pamqp import base, body, commands, decode, encode, frame, header

from datapunk.broker.frames import publish_frames, read_deliver
from datapunk.broker.properties import Properties, decode_properties, encode_properties
from datapunk.broker.tables import MOST_NESTED, decode_table, encode_table
from datapunk.errors import InvalidEnvelope, UnencodableMessage

FRAME_MAX = 131_072

texts = st.text(max_size=80)
short_texts = texts.filter(lambda text: len(text.encode()) <= 255)
exchanges = st.from_regex(r"[a-zA-Z0-9-_.:]{0,60}", fullmatch=True)
names = st.text(min_size=1, max_size=30).filter(lambda text: len(text.encode()) <= 128)
times = st.integers(0, 2**32 - 1).map(lambda seconds: datetime.fromtimestamp(seconds, UTC))
# pamqp reads the mantissa of a negative decimal as unsigned, so those are compared with themselves below.
decimals = st.builds(
    lambda number, scale: Decimal(number).scaleb(-scale), st.integers(0, 2**31 - 1), st.integers(0, 20)
)
simple = st.one_of(
    texts,
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.none(),
    times,
    decimals,
    st.binary(max_size=40).map(bytearray),
)
values = st.recursive(
    simple,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names, inner, max_size=4),
    max_leaves=12,
)
tables = st.dictionaries(names, values, max_size=10)
optional = st.none() | short_texts
property_values: dict[str, Any] = {
    "content_type": optional,
    "content_encoding": optional,
    "headers": st.none() | tables,
    "delivery_mode": st.sampled_from([None, 1, 2]),
    "priority": st.none() | st.integers(0, 255),
    "correlation_id": optional,
    "reply_to": optional,
    "expiration": optional,
    "message_id": optional,
    "timestamp": st.none() | times,
    "message_type": optional,
    "user_id": optional,
    "app_id": optional,
    "cluster_id": optional,
}


def _ours(given_values: dict[str, Any]) -> Properties:
    return Properties(**{("type" if name == "message_type" else name): value for name, value in given_values.items()})


@given(st.fixed_dictionaries(property_values))
def test_pamqp_reads_the_properties_we_write(given_values: dict[str, Any]) -> None:
    data = publish_frames(1, "exchange", "key", False, _ours(given_values), b"", FRAME_MAX)
    used, _, _ = frame.unmarshal(data)
    _, channel, content = frame.unmarshal(data[used:])
    assert isinstance(content, header.ContentHeader)
    assert channel == 1
    for name, value in given_values.items():
        expected = value if name != "cluster_id" else (value or "")
        assert (getattr(content.properties, name) or "") == (expected or "") or getattr(
            content.properties, name
        ) == expected


@given(st.fixed_dictionaries(property_values))
def test_we_read_the_properties_we_write(given_values: dict[str, Any]) -> None:
    ours = _ours(given_values)
    assert decode_properties(encode_properties(ours)) == ours


@given(tables)
def test_we_read_the_tables_that_pamqp_writes(table: dict[str, Any]) -> None:
    data = encode.field_table(table)
    assert decode_table(data, 0, len(data)) == (decode.field_table(data)[1], len(data))


@given(tables)
def test_our_tables_have_the_bytes_of_pamqps_apart_from_its_sorting(table: dict[str, Any]) -> None:
    assert decode.field_table(encode_table(table))[1] == decode.field_table(encode.field_table(table))[1]
    one_each = {key: value for key, value in table.items() if type(value) not in (dict, list, int)}
    for key, value in one_each.items():
        assert encode_table({key: value}) == encode.field_table({key: value})


@given(st.floats(allow_nan=False))
def test_a_float_keeps_all_of_its_bits(value: float) -> None:
    data = encode_table({"value": value})
    assert decode.field_table(data)[1] == {"value": value}
    assert decode_table(data, 0, len(data))[0] == {"value": value}


@given(st.integers(-(2**63), 2**63 - 1))
def test_a_whole_number_has_64_bits_however_small_it_is(value: int) -> None:
    data = encode_table({"n": value})
    assert data == b"\0\0\0\x0b\x01nl" + value.to_bytes(8, "big", signed=True)


@given(st.integers(-(2**31), 2**31 - 1), st.integers(0, 20))
def test_a_decimal_keeps_its_sign(mantissa: int, scale: int) -> None:
    value = Decimal(mantissa).scaleb(-scale)
    data = encode_table({"value": value})
    assert decode_table(data, 0, len(data))[0] == {"value": value}


def test_text_that_is_not_utf_8_is_kept_as_bytes_and_handed_on_as_it_came() -> None:
    data = encode_table({"name": b"caf\xe9"})
    assert decode_table(data, 0, len(data))[0] == {"name": b"caf\xe9"}


@given(st.binary(max_size=200))
def test_whatever_bytes_stand_for_properties_they_are_read_or_refused(data: bytes) -> None:
    with suppress(InvalidEnvelope):
        decode_properties(data)


def test_headers_nested_too_deep_are_refused() -> None:
    table: dict[str, Any] = {}
    for _ in range(MOST_NESTED + 1):
        table = {"deeper": table}
    with pytest.raises(InvalidEnvelope, match="nested"):
        decode_properties(encode_properties(Properties(headers=table)))


def test_a_timestamp_beyond_the_calendar_is_refused() -> None:
    with pytest.raises(InvalidEnvelope):
        decode_properties(b"\x00\x40" + b"\xff" * 8)


@pytest.mark.parametrize(
    "properties",
    [
        Properties(message_id="x" * 256),
        Properties(headers={"k" * 256: 1}),
        Properties(headers={"k": object()}),
    ],
)
def test_what_amqp_has_no_form_for_is_refused(properties: Properties) -> None:
    with pytest.raises(UnencodableMessage):
        encode_properties(properties)


def test_headers_that_do_not_fit_into_a_frame_are_refused() -> None:
    with pytest.raises(UnencodableMessage, match="frame"):
        publish_frames(1, "", "q", False, Properties(headers={"big": "x" * FRAME_MAX}), b"", FRAME_MAX)


@given(st.integers(0, 20_000), st.sampled_from([4096, 5000, 8192]))
def test_a_body_is_cut_into_frames_that_fit(size: int, frame_max: int) -> None:
    content = random.Random(size).randbytes(size)
    data = publish_frames(3, "exchange", "key", True, Properties(type="lake.X"), content, frame_max)
    frames: list[Any] = []
    while data:
        used, channel, one = frame.unmarshal(data)
        assert channel == 3
        assert used <= frame_max
        frames.append(one)
        data = data[used:]
    method, head, *bodies = frames
    assert isinstance(method, commands.Basic.Publish)
    assert (method.exchange, method.routing_key, method.mandatory) == ("exchange", "key", True)
    assert head.body_size == size
    assert b"".join(one.value for one in bodies) == content
    assert all(isinstance(one, body.ContentBody) for one in bodies)


@given(short_texts, st.integers(1, 2**63 - 1), st.booleans(), exchanges, short_texts)
def test_we_read_the_deliveries_that_pamqp_writes(
    consumer: str, tag: int, redelivered: bool, exchange: str, key: str
) -> None:
    method: base.Frame = commands.Basic.Deliver(consumer, tag, redelivered, exchange or "x", key)
    payload = frame.marshal(method, 1)[7:-1]
    assert read_deliver(payload) == (consumer, tag, redelivered, exchange or "x", key)
