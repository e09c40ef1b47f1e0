"""Avro binary by fastavro: one datum, without a container around it."""

from __future__ import annotations

from io import BytesIO
from typing import Any, cast

import fastavro
from fastavro._read_common import SchemaResolutionError  # fastavro raises it and exports it nowhere else

from datapunk.errors import UndecodableMessage

_read = cast("Any", fastavro.schemaless_reader)  # pyright: ignore[reportUnknownMemberType]  # stubs say `IO`, of what?
_write = cast("Any", fastavro.schemaless_writer)  # pyright: ignore[reportUnknownMemberType]

__all__ = ["SchemaResolutionError", "read_datum", "resolve_datum", "write_datum"]


def read_datum(body: bytes, schema: Any, name: str) -> Any:
    """A datum from all of a body, with records in unions as (name, value).

    Args:
        body: Avro binary.
        schema: the writer's, as fastavro parsed it.
        name: of the schema, for the error.

    Raises:
        UndecodableMessage: if bytes are left over.
        ValueError, EOFError, IndexError, …: as fastavro does, if the body isn't of this schema.
    """
    stream = BytesIO(body)
    datum = _read(stream, schema, None, return_record_name=True, return_record_name_override=True)
    if stream.tell() != len(body):
        raise UndecodableMessage(f"{name}: {len(body) - stream.tell()} bytes are left over after the record")
    return datum


def resolve_datum(body: bytes, writer: Any, reader: Any | None) -> Any:
    """A datum as plain values: as it was written, or resolved to the reader's schema (Avro, "Schema Resolution").

    Raises:
        SchemaResolutionError: if the schemas don't go together.
        ValueError, EOFError, IndexError, …: as fastavro does, if the body isn't of the writer's schema.
    """
    return _read(BytesIO(body), writer, reader)


def write_datum(datum: Any, schema: Any) -> bytes:
    """A datum as Avro binary.

    Raises:
        ValueError, TypeError, KeyError, …: as fastavro does, if the datum doesn't fit.
    """
    stream = BytesIO()
    _write(stream, schema, datum)
    return stream.getvalue()
