"""What is written on a dead letter, whatever its original holds."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from datapunk.broker.dead_letter import dead_key, dead_letter
from datapunk.broker.frames import publish_frames
from datapunk.broker.link import FRAME_MAX, MOST_PROPERTIES
from datapunk.broker.properties import Properties, encode_properties

ANY_TEXT = st.text(
    st.characters(exclude_categories=()), max_size=300
)  # halves of surrogate pairs, too: exceptions may hold them


@given(ANY_TEXT, ANY_TEXT)
@example("half \ud800", "a pair \udc00")
def test_any_message_and_traceback_can_be_sent(message: str, trace: str) -> None:
    """Halves of surrogate pairs, too: exceptions may hold them."""
    encode_properties(dead_letter(Properties(), reason="poison", message=message, trace=trace))


def test_the_largest_headers_that_are_read_fit_into_a_frame_with_all_that_is_added() -> None:
    original = Properties(headers={"big": "x" * (MOST_PROPERTIES - 100)})
    buried = dead_letter(
        original,
        reason="handler_failed",
        message="\U0001f600" * 10_000,
        trace="\U0001f600" * 100_000,
        exchange="x" * 255,
        routing_key="x" * 255,
        queue="x" * 255,
    )
    assert publish_frames(1, "datapunk.dead", "lake.handler_failed", True, buried, b"", FRAME_MAX)


def test_the_end_of_a_long_traceback_is_kept() -> None:
    buried = dead_letter(Properties(), reason="poison", message="", trace="start" + "." * 10_000 + "the cause")
    assert buried.headers is not None
    assert buried.headers["dead-traceback"].endswith("the cause")


def test_the_user_is_kept_as_a_header_since_the_broker_would_refuse_the_property() -> None:
    buried = dead_letter(Properties(user_id="ada", expiration="10"), reason="poison", message="")
    assert buried.headers is not None
    assert (buried.user_id, buried.expiration, buried.headers["dead-user-id"]) == (None, None, "ada")


@given(ANY_TEXT)
def test_the_key_of_a_dead_letter_is_never_too_long(module: str) -> None:
    assert len(dead_key(module, "handler_failed").encode("utf-8", "replace")) <= 255
