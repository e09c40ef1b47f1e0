"""What a table can't hold although the schema allows it: such records are rejected before they're history."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, cast

import msgspec

from datapunk import Rejected
from datapunk.messages.codec import FieldDescription

MAX_DEPTH = 64  # values within values; what reads a record must never run out of stack where its writer didn't
MAX_INDEXED_BYTES = 2_000  # of one value; Postgres has 2,704 for all that an entry of an index takes


def check_depth(records: Sequence[Any]) -> None:
    """Reject what is nested too deeply.

    Raises:
        Rejected: `record_invalid`.
    """
    for index, record in enumerate(records):
        level = [record]
        for _ in range(MAX_DEPTH):
            level = [part for whole in level for part in _parts(whole)]
        if level:
            raise Rejected("record_invalid", f"record {index} is nested more than {MAX_DEPTH} deep")


def check_indexed(records: Sequence[Any], fields: Iterable[FieldDescription]) -> None:
    """Reject values that are too long for the index they belong in.

    Raises:
        Rejected: `record_invalid`.
    """
    for field in fields:
        if field.type not in ("string", "bytes", "fixed", "enum"):
            continue
        for index, record in enumerate(records):
            value = getattr(record, field.attribute)
            if isinstance(value, str):
                size = len(value) if value.isascii() else len(value.encode())
            else:
                size = len(value) if isinstance(value, bytes) else 0
            if size > MAX_INDEXED_BYTES:
                raise Rejected(
                    "record_invalid",
                    f"record {index}: {field.name} has {size:,} bytes; it's indexed, which bears {MAX_INDEXED_BYTES:,}",
                )


def _parts(whole: Any) -> Iterable[Any]:
    if isinstance(whole, msgspec.Struct):
        return msgspec.structs.astuple(whole)
    if isinstance(whole, dict):
        return cast("dict[str, Any]", whole).values()
    return cast("list[Any]", whole) if isinstance(whole, list) else ()
