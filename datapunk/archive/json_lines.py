"""An archive as JSON lines: to be read by people, `grep` and `jq`.

An event's body is Avro JSON where that gives the stored bytes back, which is checked for each event, else base64.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import IO
from uuid import UUID

import msgspec

from datapunk.archive.records import Header, Record, SchemaRow, Trailer, Unpublished
from datapunk.errors import ArchiveDamaged, UndecodableMessage, UnencodableMessage, UnknownSchema
from datapunk.messages.codec import codec_of_text
from datapunk.store.events import InboxEntry, RecordedEvent

NOTHING = msgspec.Raw(b"")


class EventLine(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """A `RecordedEvent`, its body in one of two forms."""

    position: int
    at: datetime
    tenant: str
    stream: str
    version: int
    type: str
    id: UUID
    schema: str
    causation: UUID
    metadata: Mapping[str, str]
    data: msgspec.Raw = NOTHING
    data_base64: bytes | None = None


class Line(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """One line: exactly one of these."""

    header: Header | None = None
    schema: SchemaRow | None = None
    event: EventLine | None = None
    command: InboxEntry | None = None
    unpublished: Unpublished | None = None
    trailer: Trailer | None = None


class JsonLinesWriter:
    """Writes to a binary file."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._encode = msgspec.json.Encoder().encode
        self._schemas: dict[str, str] = {}

    def begin(self, header: Header) -> None:
        """The first line."""
        self._put(Line(header=header))

    def write(self, record: Record) -> None:
        """One record."""
        if isinstance(record, RecordedEvent):
            self._put(Line(event=self._event(record)))
        elif isinstance(record, InboxEntry):
            self._put(Line(command=record))
        elif isinstance(record, SchemaRow):
            self._schemas[record.fingerprint] = record.text
            self._put(Line(schema=record))
        else:
            self._put(Line(unpublished=record))

    def end(self, trailer: Trailer) -> None:
        """The last line."""
        self._put(Line(trailer=trailer))

    def _put(self, line: Line) -> None:
        self._file.write(self._encode(line))
        self._file.write(b"\n")

    def _event(self, event: RecordedEvent) -> EventLine:
        line = EventLine(
            position=event.position,
            at=event.at,
            tenant=event.tenant,
            stream=event.stream,
            version=event.version,
            type=event.type,
            id=event.id,
            schema=event.schema,
            causation=event.causation,
            metadata=event.metadata,
        )
        codec = codec_of_text(self._schemas[event.schema])
        try:
            data = codec.encode_json(codec.decode_binary(event.data))
            is_exact = codec.encode_binary(codec.decode_json(data)) == event.data
        except (UndecodableMessage, UnencodableMessage):
            is_exact, data = False, b""
        if is_exact:
            line.data = msgspec.Raw(data)
        else:
            line.data_base64 = event.data
        return line


def read_json_lines(file: IO[bytes]) -> Iterator[Header | Record | Trailer]:
    """All that is in the file.

    Raises:
        ArchiveDamaged: at a line that isn't one.
        UnknownSchema: at an event whose schema doesn't come before it.
    """
    decode = msgspec.json.Decoder(Line).decode
    schemas: dict[str, str] = {}
    for number, text in enumerate(file, 1):
        try:
            line = decode(text)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            if not text.endswith(b"\n"):
                return  # cut off within the line: who misses the trailer says so
            raise ArchiveDamaged(f"line {number} is no line of an archive: {error}") from None
        if line.event is not None:
            yield _event(line.event, schemas, number)
            continue
        if line.schema is not None:
            schemas[line.schema.fingerprint] = line.schema.text
        found = line.header or line.schema or line.command or line.unpublished or line.trailer
        if found is None:
            raise ArchiveDamaged(f"line {number} is no line of an archive: it's empty")
        yield found


def _event(line: EventLine, schemas: Mapping[str, str], number: int) -> RecordedEvent:
    data = line.data_base64
    if data is None:
        text = schemas.get(line.schema)
        if text is None:
            raise UnknownSchema(f"line {number}: no schema with fingerprint {line.schema!r} comes before this event")
        codec = codec_of_text(text)
        try:
            data = codec.encode_binary(codec.decode_json(bytes(line.data)))
        except (UndecodableMessage, UnencodableMessage) as error:
            raise ArchiveDamaged(f"line {number}: {error}") from None
    return RecordedEvent(
        tenant=line.tenant,
        stream=line.stream,
        version=line.version,
        type=line.type,
        id=line.id,
        schema=line.schema,
        data=data,
        causation=line.causation,
        metadata=line.metadata,
        position=line.position,
        at=line.at,
    )
