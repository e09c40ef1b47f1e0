"""A message is read as it was written."""

from __future__ import annotations

import pytest
from faust_rabbitmq.record import MARKER, Mark, Record, decode, encode
from hypothesis import given
from hypothesis import strategies as st

headers = st.lists(st.tuples(st.text(max_size=20), st.binary(max_size=50)), max_size=5)
marks = st.none() | st.builds(Mark, st.integers(0, 2**32 - 1), st.integers(0, 2**64 - 1))


@given(
    st.none() | st.binary(max_size=300),
    st.none() | st.binary(max_size=300),
    headers,
    st.floats(min_value=1e-9, allow_nan=False, allow_infinity=False),
    marks,
)
def test_a_record_survives(
    key: bytes | None, value: bytes | None, given_headers: list[tuple[str, bytes]], at: float, mark: Mark | None
) -> None:
    assert decode(encode(key, value, given_headers, at, mark)) == Record(key, value, given_headers, at, mark)


def test_a_marker_is_told_from_messages() -> None:
    assert decode(MARKER).is_marker
    assert not decode(encode(None, None)).is_marker


def test_a_key_that_is_too_long_is_refused() -> None:
    with pytest.raises(ValueError, match="40,000 bytes"):
        encode(b"k" * 40_000, b"")
