"""What an archive holds: a header, schemas, events, processed commands, what is unpublished, and a trailer."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

from datapunk.store.canonical import canonical
from datapunk.store.events import InboxEntry, RecordedEvent

FORMAT = 1  # raise it when older code couldn't read the file


@dataclass(frozen=True, slots=True)
class Header:
    """What was asked for.

    Attributes:
        format: of the file.
        after: only events after this position.
        until: no events after this position.
        module: only this module's.
        tenant: only this tenant's.
        streams: only these actors'; all if empty.
    """

    format: int
    after: int
    until: int
    module: str | None = None
    tenant: str | None = None
    streams: list[str] = field(default_factory=list[str])


@dataclass(frozen=True, slots=True)
class SchemaRow:
    """A schema that events were written with."""

    fingerprint: str
    name: str
    version: int
    text: str


@dataclass(frozen=True, slots=True)
class Unpublished:
    """Events that were committed and that the broker hadn't confirmed: to be published from where they go."""

    module: str
    shard: int
    positions: list[int]


@dataclass(frozen=True, slots=True)
class Trailer:
    """The last line: how much there is of what, and a SHA-256 of all of it in canonical form."""

    schemas: int
    events: int
    commands: int
    unpublished: int
    sha256: str


Record = SchemaRow | RecordedEvent | InboxEntry | Unpublished


class Tally:
    """Counts records and takes their checksum, the same for every file format."""

    def __init__(self) -> None:
        self._digest = hashlib.sha256()
        self._counts: dict[type, int] = {}

    def add(self, record: Record) -> None:
        """The next one."""
        self._digest.update(canonical(record))
        self._digest.update(b"\n")
        kind = type(record)
        self._counts[kind] = self._counts.get(kind, 0) + 1

    def trailer(self) -> Trailer:
        """What the trailer must say of the records so far."""
        count = self._counts.get
        return Trailer(
            schemas=count(SchemaRow, 0),
            events=count(RecordedEvent, 0),
            commands=count(InboxEntry, 0),
            unpublished=count(Unpublished, 0),
            sha256=self._digest.hexdigest(),
        )
