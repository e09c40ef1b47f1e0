"""An archive as an Avro object container file: compact, and readable by Avro libraries of any language.

Its schema is a union of records, one for each kind. An event's body stays in Avro binary, of the schema that it
names by fingerprint.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import IO, Any, cast

import fastavro
from fastavro.write import Writer

from datapunk.archive.records import Header, Record, SchemaRow, Trailer, Unpublished
from datapunk.errors import ArchiveDamaged
from datapunk.store.events import InboxEntry, RecordedEvent

BLOCK_BYTES = 256 * 1024  # before compression
COMPRESSION_LEVEL = 3  # of 9; more takes far longer and gains little

_UUID = {"type": "string", "logicalType": "uuid"}
_TIME = {"type": "long", "logicalType": "timestamp-micros"}
_FIELDS: dict[type, dict[str, Any]] = {
    Header: {
        "format": "int",
        "after": "long",
        "until": "long",
        "module": ["null", "string"],
        "tenant": ["null", "string"],
        "streams": {"type": "array", "items": "string"},
    },
    SchemaRow: {"fingerprint": "string", "name": "string", "version": "int", "text": "string"},
    RecordedEvent: {
        "tenant": "string",
        "stream": "string",
        "version": "long",
        "type": "string",
        "id": _UUID,
        "schema": "string",
        "data": "bytes",
        "causation": _UUID,
        "metadata": {"type": "map", "values": "string"},
        "position": "long",
        "at": _TIME,
    },
    InboxEntry: {
        "id": _UUID,
        "tenant": "string",
        "type": "string",
        "stream": "string",
        "body_hash": "bytes",
        "reply": "bytes",
        "first_version": ["null", "long"],
        "last_version": ["null", "long"],
        "position": "long",
        "at": ["null", _TIME],
    },
    Unpublished: {"module": "string", "shard": "int", "positions": {"type": "array", "items": "long"}},
    Trailer: {"schemas": "long", "events": "long", "commands": "long", "unpublished": "long", "sha256": "string"},
}
_NAMES = {
    Header: "Header",
    SchemaRow: "Schema",
    RecordedEvent: "Event",
    InboxEntry: "Command",
    Unpublished: "Unpublished",
    Trailer: "Trailer",
}
SCHEMA = [
    {
        "type": "record",
        "namespace": "datapunk.archive",
        "name": _NAMES[kind],
        "fields": [{"name": name, "type": avro} for name, avro in fields.items()],
    }
    for kind, fields in _FIELDS.items()
]
_MAKERS: dict[str, Callable[..., Header | Record | Trailer]] = {
    f"datapunk.archive.{name}": kind for kind, name in _NAMES.items()
}


class ContainerWriter:
    """Writes to a binary file."""

    def __init__(self, file: IO[bytes]) -> None:
        self._writer = Writer(
            file,
            fastavro.parse_schema(SCHEMA, named_schemas={}),
            codec="deflate",
            sync_interval=BLOCK_BYTES,
            compression_level=COMPRESSION_LEVEL,
        )
        self._write: Callable[[Any], None] = cast("Any", self._writer).write

    def begin(self, header: Header) -> None:
        """The first record."""
        self._put(header)

    def write(self, record: Record) -> None:
        """One record."""
        self._put(record)

    def end(self, trailer: Trailer) -> None:
        """The last record."""
        self._put(trailer)
        self._writer.flush()

    def _put(self, record: Header | Record | Trailer) -> None:
        kind = type(record)
        self._write((f"datapunk.archive.{_NAMES[kind]}", {name: getattr(record, name) for name in _FIELDS[kind]}))


def read_container(file: IO[bytes]) -> Iterator[Header | Record | Trailer]:
    """All that is in the file.

    Raises:
        ArchiveDamaged: if it's no such file, or not any more.
    """
    try:
        reader = fastavro.reader(file, return_record_name=True)
        # The checksum is of values, and can't tell in all cases what type they were read as.
        schema = json.loads(cast("Any", reader).metadata["avro.schema"])
        if fastavro.parse_schema(schema, named_schemas={}) != fastavro.parse_schema(SCHEMA, named_schemas={}):
            raise ArchiveDamaged("this Avro container holds something else than an archive, or its schema is damaged")
        for found in reader:
            name, values = cast("tuple[str, dict[str, Any]]", found)
            yield _MAKERS[name](**values)
    except ArchiveDamaged:
        raise
    except EOFError:
        return  # cut off: who misses the trailer says so
    except Exception as error:  # of bytes that aren't what they should be, the library says anything
        raise ArchiveDamaged(f"not an archive in an Avro container, or damaged: {error!r}") from None


assert all(set(cast("Any", kind).__match_args__) == set(fields) for kind, fields in _FIELDS.items())
