"""A task that was a dead letter carries which one it was, in its options: a message of Dramatiq's keeps no headers.

So it's the same letter if it fails again, and who performs it can tell that it was handled.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast
from uuid import UUID

import msgspec

LETTER = "dead_letter"  # the option: {"id": "…", "attempt": 1}


class _Message(msgspec.Struct):
    """Dramatiq's message, of which only the options matter here."""

    queue_name: str
    actor_name: str
    args: msgspec.Raw
    kwargs: msgspec.Raw
    options: dict[str, Any]
    message_id: str
    message_timestamp: int


def marked(body: bytes, id: UUID, attempt: int) -> bytes | None:
    """A task's message that says which letter it is; none if it's no task's message.

    Args:
        body: the message.
        id: of the letter.
        attempt: which time it's published again, from 1.
    """
    try:
        message = msgspec.json.decode(body, type=_Message)
    except msgspec.DecodeError:
        return None
    message.options[LETTER] = {"id": str(id), "attempt": attempt}
    return msgspec.json.encode(message)


def letter_of(options: Mapping[str, Any]) -> tuple[UUID, int] | None:
    """Which letter a message is, and which attempt; none if it never was one."""
    given = options.get(LETTER)
    if not isinstance(given, dict):
        return None
    letter = cast("dict[str, Any]", given)
    try:
        return UUID(letter["id"]), int(letter["attempt"])
    except (KeyError, ValueError, TypeError, AttributeError):
        return None
