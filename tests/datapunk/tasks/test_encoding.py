"""Tasks on the wire: Dramatiq's envelope, and Avro inside."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from dramatiq.errors import DecodeError
from hypothesis import given
from hypothesis import strategies as st

from datapunk.messages.registry import Registry
from datapunk.tasks.encoding import AvroEncoder, message_of
from tests.accounts.module import accounts
from tests.accounts.tasks import SendStatement

encoder = AvroEncoder(Registry.of([accounts]))
longs = st.integers(-(2**63), 2**63 - 1)
texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))
lines = st.lists(st.none() | longs | texts, max_size=5)


@given(texts, lines, st.dictionaries(texts, st.none() | st.booleans() | longs | texts, max_size=3))
def test_a_task_is_read_as_it_was_written(account: str, lines: list[Any], options: dict[str, Any]) -> None:
    message = message_of("accounts", SendStatement(account=account, lines=lines))
    written = {**message.asdict(), "options": options}
    assert encoder.decode(encoder.encode(written)) == written


def test_it_can_be_read_by_eye() -> None:
    message = message_of("accounts", SendStatement(account="a", lines=[1, "one"]), traceparent="00-1-2-01")
    envelope = msgspec.json.decode(encoder.encode(message.asdict()))
    (argument,) = envelope["args"]
    assert (envelope["queue_name"], envelope["actor_name"]) == ("accounts.tasks", "accounts.SendStatement")
    assert envelope["options"] == {"traceparent": "00-1-2-01"}
    assert argument["task"] == {"account": "a", "lines": [{"long": 1}, {"string": "one"}]}


GOOD = msgspec.json.decode(encoder.encode(message_of("accounts", SendStatement(account="a")).asdict()))


@pytest.mark.parametrize(
    "change",
    [
        {"args": []},
        {"args": GOOD["args"] * 2},
        {"args": [GOOD["args"][0] | {"type": "accounts.Nothing"}]},
        {"args": [GOOD["args"][0] | {"schema": "0123456789abcdef"}]},
        {"args": [GOOD["args"][0] | {"task": {"account": 1}}]},
        {"kwargs": None},
        {"more": 1},
    ],
)
def test_what_is_no_task_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(DecodeError):
        encoder.decode(msgspec.json.encode(GOOD | change))


@given(st.binary(max_size=50))
def test_whatever_comes_is_read_or_refused(data: bytes) -> None:
    with pytest.raises(DecodeError):
        encoder.decode(data)
