"""Which dead letter a message is: the same one, however often it's put aside.

A worker that dies between putting a message aside and acknowledging it is followed by one that puts it aside again.
Both give it the same id, since that derives from the message: its own id, its bytes, where it was sent and for whom.
So a message that is sent twice under one id is one letter, as a command that is sent twice happens once.

Nothing tells a second delivery of a message without an id from another message of the same bytes: that the broker
calls it redelivered doesn't say that somebody put it aside before. So such a one is a letter of its own each time.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import blake2b
from typing import Any
from uuid import UUID, uuid5

from datapunk.broker.properties import Properties
from datapunk.messages.outcome import Outcome

# Ids that derive are UUIDs of version 5 (RFC 9562) in this name space; others are of version 7.
LETTER_SPACE = UUID("3a1d5a86-0c6e-4c0b-8f0f-6f6c1f4e7c52")
DERIVED = 5
# Headers that tell one message from another under its id: for whom it is, how it's to be read, where it was.
TELLING = ("tenant", "actor-id", "schema", "dead-exchange", "dead-routing-key", "dead-queue")


def derived_id(properties: Properties, headers: Mapping[str, Any], body: bytes) -> UUID | None:
    """The id of a dead letter.

    Args:
        properties: its own.
        headers: in place of its own: those of the original, and where it was (`dead-exchange` and so on).
        body: its own.

    Returns:
        None if the original has no id that is a UUID: the next one of the same bytes may be another message.
    """
    message_id = _message_id(properties, headers)
    if message_id is None:
        return None
    told = (
        str(message_id),
        properties.type,
        properties.content_type,
        properties.content_encoding,
        *(headers.get(name) for name in TELLING),
    )
    return uuid5(LETTER_SPACE, f"{blake2b(body, digest_size=16).hexdigest()} {told!a}")


def _message_id(properties: Properties, headers: Mapping[str, Any]) -> UUID | None:
    """Its own; a reply has none, and is told by the command that it answers."""
    text = properties.message_id
    if text is None and properties.type == Outcome.message_type:
        text = headers.get("causation-id")
    try:
        return UUID(text) if isinstance(text, str) else None
    except ValueError:
        return None
