"""What goes into the store, and what comes out: two types, so that the name tells what may be touched."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

import msgspec

CommandKey = tuple[str, UUID]  # tenant, id: an id is its tenant's own


class EventData(msgspec.Struct, frozen=True, gc=False):
    """An event to be written.

    Attributes:
        tenant: whose it is.
        stream: the actor it happened to, as in `lake.dataset/weather`.
        version: its place in the stream, from 1.
        type: its message type.
        id: its own id, and the `message_id` it's published with.
        schema: fingerprint of the Avro schema it was written with.
        data: its body in Avro binary.
        causation: the id of the command that led to it.
        metadata: correlation, trace, times; text only.
    """

    tenant: str
    stream: str
    version: int
    type: str
    id: UUID
    schema: str
    data: bytes
    causation: UUID
    metadata: Mapping[str, str]


class RecordedEvent(EventData, frozen=True, gc=False):
    """An event as it was written.

    Attributes:
        position: its place among all events; there may be gaps.
        at: when its transaction began.
    """

    position: int
    at: datetime

    @property
    def actor(self) -> str:
        """The id of the actor it happened to, as in `weather`."""
        return self.stream.partition("/")[2]


class PastEvent(msgspec.Struct, frozen=True, gc=False):
    """What it takes to apply an event once more; many are read whenever actors are loaded.

    Attributes:
        whose: its actor's place among those asked for.
        type: its message type.
        schema: fingerprint of the Avro schema it was written with.
        data: its body in Avro binary.
    """

    whose: int
    type: str
    schema: str
    data: bytes


class InboxEntry(msgspec.Struct, frozen=True, gc=False):
    """A processed command.

    Attributes:
        id: the command's id, its tenant's own.
        body_hash: tells a retry from another command under the same id.
        reply: the outcome in Avro binary, without the position.
        first_version: of its first event; none if it had none.
        last_version: of its last event.
        position: of its last event, 0 if it had none; known when it's read back.
        at: when it was processed; known when it's read back.
    """

    id: UUID
    tenant: str
    type: str
    stream: str
    body_hash: bytes
    reply: bytes
    first_version: int | None
    last_version: int | None
    position: int = 0
    at: datetime | None = None


class SnapshotData(msgspec.Struct, frozen=True, gc=False):
    """An actor's state at a version; `state_version` tells which shape the state has."""

    tenant: str
    stream: str
    version: int
    state_version: int
    state: bytes
