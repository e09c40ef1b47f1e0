"""Records as plain Python values, for upcasters: by fastavro, from and to Avro binary.

Only bodies that a codec has read may come here: fastavro recurses in C, and a body nested deeply enough would end
the process.
"""

from __future__ import annotations

from io import BytesIO
from typing import Any, cast

import fastavro

_read = cast("Any", fastavro.schemaless_reader)  # pyright: ignore[reportUnknownMemberType]  # stubs say `IO`, of what?
_write = cast("Any", fastavro.schemaless_writer)  # pyright: ignore[reportUnknownMemberType]


def read_plain(body: bytes, schema: Any) -> Any:
    """A record as dicts, lists, text, numbers, datetimes and Decimals; unions without tags."""
    return _read(BytesIO(body), schema, None)


def write_plain(record: Any, schema: Any) -> bytes:
    """The reverse.

    Raises:
        ValueError, TypeError, KeyError, …: as fastavro does, if the record doesn't fit.
    """
    stream = BytesIO()
    _write(stream, schema, record)
    return stream.getvalue()
