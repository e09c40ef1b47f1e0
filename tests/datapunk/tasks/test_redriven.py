"""Which dead letter a task was is written into its message, and read from it."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import msgspec
import pytest

from datapunk.messages.registry import Registry
from datapunk.tasks.encoding import AvroEncoder, message_of
from datapunk.tasks.redriven import LETTER, letter_of, marked
from tests.accounts.module import accounts
from tests.accounts.tasks import SendStatement

ID = UUID("3491f8aa-8b9c-544b-834d-895edf4fa1bd")
encoder = AvroEncoder(Registry.of([accounts]))


def test_a_task_keeps_all_it_had_and_says_which_letter_it_is() -> None:
    message = message_of("accounts", SendStatement(account="a"), traceparent="t")
    body = encoder.encode(message.asdict())
    again = marked(body, ID, 2)
    assert again is not None
    read = encoder.decode(again)
    assert letter_of(read["options"]) == (ID, 2)
    assert {name for name in read if read[name] != encoder.decode(body)[name]} == {"options"}
    assert read["options"]["traceparent"] == "t"


def test_the_latest_attempt_counts() -> None:
    body = encoder.encode(message_of("accounts", SendStatement(account="a")).asdict())
    again = marked(marked(body, ID, 1) or b"", ID, 2)
    assert letter_of(encoder.decode(again or b"")["options"]) == (ID, 2)


@pytest.mark.parametrize("body", [b"", b"?", b"{}", b"[]", b"\xff"])
def test_what_is_no_task_is_left_alone(body: bytes) -> None:
    assert marked(body, ID, 1) is None


@pytest.mark.parametrize(
    "given", [None, "text", {}, {"id": str(ID)}, {"id": "no UUID", "attempt": 1}, {"id": 5, "attempt": 1}]
)
def test_an_option_that_makes_no_sense_is_no_letter(given: Any) -> None:
    assert letter_of(msgspec.json.decode(msgspec.json.encode({LETTER: given}))) is None
