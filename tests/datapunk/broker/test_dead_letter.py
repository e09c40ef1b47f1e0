"""What is written on a dead letter, whatever its original holds."""

from __future__ import annotations

import asyncio
import struct
from uuid import UUID

from hypothesis import example, given
from hypothesis import strategies as st

from datapunk.broker.channel import Channel
from datapunk.broker.dead_letter import ATTEMPT, ID, bury, dead_key, dead_letter
from datapunk.broker.deliveries import Delivery
from datapunk.broker.frames import publish_frames
from datapunk.broker.letter_id import derived_id
from datapunk.broker.link import FRAME_MAX, MOST_PROPERTIES, Link
from datapunk.broker.properties import Properties, decode_properties, encode_properties
from datapunk.errors import InvalidEnvelope, UnencodableMessage

ANY_TEXT = st.text(
    st.characters(exclude_categories=()), max_size=300
)  # halves of surrogate pairs, too: exceptions may hold them


@given(ANY_TEXT, ANY_TEXT)
@example("half \ud800", "a pair \udc00")
def test_any_message_and_traceback_can_be_sent(message: str, trace: str) -> None:
    """Halves of surrogate pairs, too: exceptions may hold them."""
    encode_properties(dead_letter(Properties(), b"", reason="poison", message=message, trace=trace))


def test_the_largest_headers_that_are_read_fit_into_a_frame_with_all_that_is_added() -> None:
    original = Properties(headers={"big": "x" * (MOST_PROPERTIES - 100)})
    buried = dead_letter(
        original,
        b"",
        reason="handler_failed",
        message="\U0001f600" * 10_000,
        trace="\U0001f600" * 100_000,
        exchange="x" * 255,
        routing_key="x" * 255,
        queue="x" * 255,
    )
    assert publish_frames(1, "datapunk.dead", "lake.handler_failed", True, buried, b"", FRAME_MAX)


def test_the_end_of_a_long_traceback_is_kept() -> None:
    buried = dead_letter(Properties(), b"", reason="poison", message="", trace="start" + "." * 10_000 + "the cause")
    assert buried.headers is not None
    assert buried.headers["dead-traceback"].endswith("the cause")


def test_the_user_is_kept_as_a_header_since_the_broker_would_refuse_the_property() -> None:
    buried = dead_letter(Properties(user_id="ada", expiration="10"), b"", reason="poison", message="")
    assert buried.headers is not None
    assert (buried.user_id, buried.expiration, buried.headers["dead-user-id"]) == (None, None, "ada")


def test_further_routing_keys_are_kept_under_names_that_the_broker_does_not_follow() -> None:
    buried = dead_letter(Properties(headers={"CC": ["a"], "BCC": ["b"]}), b"", reason="poison", message="")
    assert buried.headers is not None
    assert (buried.headers["dead-cc"], buried.headers["dead-bcc"]) == (["a"], ["b"])
    assert not {"CC", "BCC"} & set(buried.headers)


@given(ANY_TEXT)
def test_the_key_of_a_dead_letter_is_never_too_long(module: str) -> None:
    assert len(dead_key(module, "handler_failed").encode("utf-8", "replace")) <= 255


SIZES = {"t": 1, "b": 1, "B": 1, "s": 2, "u": 2, "I": 4, "i": 4, "l": 8, "L": 8, "f": 4, "d": 8, "T": 8, "D": 5, "V": 0}


def _sized(tag: str, data: bytes) -> bytes:
    return tag.encode() + struct.pack(">I", len(data)) + data


def _table(entries: list[tuple[bytes, bytes]]) -> bytes:
    return b"".join(bytes([len(name)]) + name + value for name, value in entries)


raw_names = st.text(max_size=20).map(str.encode)
raw_values = st.recursive(
    st.sampled_from(sorted(SIZES)).flatmap(
        lambda tag: st.binary(min_size=SIZES[tag], max_size=SIZES[tag]).map(lambda data: tag.encode() + data)
    )
    | st.builds(_sized, st.sampled_from("Sx"), st.binary(max_size=40)),
    lambda inner: (
        st.lists(inner, max_size=4).map(lambda items: _sized("A", b"".join(items)))
        | st.lists(st.tuples(raw_names, inner), max_size=4).map(lambda entries: _sized("F", _table(entries)))
        # Many small ones, which grow when they're written again.
        | st.tuples(inner, st.integers(1, 30_000)).map(
            lambda item: _sized("A", item[0] * min(item[1], 60_000 // len(item[0])))
        )
    ),
    max_leaves=8,
)


@given(st.lists(st.tuples(raw_names, raw_values), max_size=6).map(_table))
@example(_table([(b"many", _sized("A", b"b\x01" * 30_000))]))
@example(_table([(b"at", b"T" + b"\x7f" + b"\xff" * 7), (b"small", b"D\xff\x00\x00\x00\x01")]))
def test_what_can_be_read_can_be_published_as_a_dead_letter_or_is_the_brokers_to_keep(headers: bytes) -> None:
    async def run() -> None:
        try:
            properties = decode_properties(b"\x20\x00" + struct.pack(">I", len(headers)) + headers)
        except InvalidEnvelope:
            return
        channel = Channel(Link("test"), 1)
        delivery = Delivery(channel, "", 1, False, "", "", properties, b"")
        bury(channel, delivery, module="lake", reason="poison", message="", queue="")
        assert channel.flush() == (0 if delivery.unreadable else 1)

    asyncio.run(run())


def test_a_decimal_is_the_same_when_it_is_read_again() -> None:
    for raw in (b"\x00\x00\x00\x00\x05", b"\xff\x80\x00\x00\x00", b"\x1e\x00\x00\x00\x0f"):
        read = decode_properties(b"\x20\x00" + struct.pack(">I", 8) + b"\x01aD" + raw)
        assert decode_properties(encode_properties(read)) == read


def put_aside(
    message: Properties, body: bytes = b"", *, exchange: str = "lake.commands", routing_key: str = "", queue: str = ""
) -> Properties:
    return dead_letter(
        message, body, reason="poison", message="", exchange=exchange, routing_key=routing_key, queue=queue
    )


def id_of(letter: Properties) -> UUID:
    return UUID(str((letter.headers or {})[ID]))


MESSAGE_ID = "5c5c9a9e-6c0b-4e0a-8a3e-0a7f4a0b8f11"


def test_a_message_that_is_put_aside_twice_is_one_dead_letter() -> None:
    first, second = (put_aside(Properties(message_id=MESSAGE_ID, headers={"x-delivery-count": n})) for n in range(2))
    assert id_of(first) == id_of(second)


def test_messages_that_differ_in_anything_that_matters_are_dead_letters_of_their_own() -> None:
    letters = [
        put_aside(Properties(message_id=MESSAGE_ID)),
        put_aside(Properties(message_id=MESSAGE_ID[::-1])),
        put_aside(Properties(message_id=MESSAGE_ID), b"?"),
        put_aside(Properties(message_id=MESSAGE_ID), exchange="lake.queries"),
        put_aside(Properties(message_id=MESSAGE_ID), routing_key="lake.CreateDataset"),
        put_aside(Properties(message_id=MESSAGE_ID), queue="lake.commands.3"),
        put_aside(Properties(message_id=MESSAGE_ID, type="lake.CreateDataset")),
        put_aside(Properties(message_id=MESSAGE_ID, content_type="application/avro")),
        put_aside(Properties(message_id=MESSAGE_ID, headers={"actor-id": "a"})),
        put_aside(Properties(message_id=MESSAGE_ID, headers={"tenant": "a"})),
    ]
    assert len({id_of(letter) for letter in letters}) == len(letters)


def test_messages_without_an_id_are_dead_letters_of_their_own() -> None:
    for message_id in (None, "", "no UUID"):
        assert len({id_of(put_aside(Properties(message_id=message_id))) for _ in range(2)}) == 2


def test_a_reply_that_is_put_aside_twice_is_one_dead_letter() -> None:
    reply = Properties(type="datapunk.Outcome", headers={"causation-id": MESSAGE_ID})
    assert id_of(put_aside(reply)) == id_of(put_aside(reply))
    of_another = Properties(type="datapunk.Outcome", headers={"causation-id": MESSAGE_ID[::-1]})
    assert id_of(put_aside(reply)) != id_of(put_aside(of_another))


@given(st.lists(st.tuples(raw_names | st.just(b"actor-id"), raw_values), max_size=6).map(_table))
def test_the_id_can_be_told_from_the_dead_letter(headers: bytes) -> None:
    try:
        original = decode_properties(b"\x20\x00" + struct.pack(">I", len(headers)) + headers)
        original.message_id = MESSAGE_ID
        letter = decode_properties(encode_properties(put_aside(original)))
    except (InvalidEnvelope, UnencodableMessage):
        return
    if ATTEMPT not in (original.headers or {}):
        assert derived_id(letter, letter.headers or {}, b"") == id_of(letter)


def test_one_that_was_tried_again_keeps_its_id() -> None:
    again = dead_letter(Properties(headers={ID: "before", ATTEMPT: 1}), b"", reason="poison", message="")
    assert (again.headers or {})[ID] == "before"


def test_a_copy_of_a_dead_letter_that_somebody_else_put_back_is_one_of_its_own() -> None:
    copy = dead_letter(Properties(headers={ID: "before"}), b"", reason="poison", message="")
    assert (copy.headers or {})[ID] != "before"
