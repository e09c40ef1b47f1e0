"""Reading what was written with another schema: Avro's schema resolution, by fastavro.

Only bodies that a codec of the writer's schema has read may come here: fastavro recurses in C, so a body nested
deeply enough would end the process.
"""

from __future__ import annotations

from io import BytesIO
from typing import Any, cast

import fastavro
from fastavro._read_common import SchemaResolutionError  # fastavro raises it and exports it nowhere else

_read = cast("Any", fastavro.schemaless_reader)  # pyright: ignore[reportUnknownMemberType]  # stubs say `IO`, of what?
_write = cast("Any", fastavro.schemaless_writer)  # pyright: ignore[reportUnknownMemberType]

__all__ = ["SchemaResolutionError", "plain_datum", "resolve", "write_datum"]


def resolve(body: bytes, writer: Any, reader: Any) -> bytes:
    """Avro binary of the reader's schema from that of the writer's (Avro 1.12, "Schema Resolution").

    Args:
        body: Avro binary, known to be of the writer's schema.
        writer: the writer's schema, as fastavro parsed it.
        reader: the reader's.

    Raises:
        SchemaResolutionError: if the schemas don't go together.
        ValueError, TypeError, …: as fastavro does, if a value doesn't fit.
    """
    # With names, so that a record in a union stays in its branch.
    datum = _read(BytesIO(body), writer, reader, return_record_name=True, return_record_name_override=True)
    return write_datum(datum, reader)


def plain_datum(body: bytes, writer: Any) -> Any:
    """What was written, as plain Python values: what an upcaster gets."""
    return _read(BytesIO(body), writer, None)


def write_datum(datum: Any, schema: Any) -> bytes:
    """A datum as Avro binary.

    Raises:
        ValueError, TypeError, KeyError, …: as fastavro does, if the datum doesn't fit.
    """
    stream = BytesIO()
    _write(stream, schema, datum)
    return stream.getvalue()
