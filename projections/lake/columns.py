"""How the fields of a dataset's Avro schema become the columns of its table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import msgspec
from psycopg.types.json import Jsonb

from datapunk.messages.codec import FieldDescription, codec_of_text

# What is reserved for ourselves starts with an underscore; datasets can't have such fields.
PARTITION, OFFSET = "_partition", "_offset"

SQL_TYPES = {
    "string": "text",
    "enum": "text",
    "uuid": "uuid",
    "int": "integer",
    "long": "bigint",
    "float": "real",
    "double": "double precision",
    "boolean": "boolean",
    "bytes": "bytea",
    "fixed": "bytea",
    "date": "date",
    "time-millis": "time",
    "time-micros": "time",
    "timestamp-millis": "timestamptz",
    "timestamp-micros": "timestamptz",
    "local-timestamp-millis": "timestamp",
    "local-timestamp-micros": "timestamp",
    "decimal": "numeric",
}


def _as_json(value: Any) -> Jsonb | None:
    return None if value is None else Jsonb(value, dumps=msgspec.json.encode)


def _as_text(value: Any) -> str | None:
    return None if value is None else str(value.value)


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its name, its SQL type, and how a field's value is handed to Postgres (None: as it is)."""

    name: str
    sql_type: str
    adapt: Callable[[Any], Any] | None


def column_of(field: FieldDescription) -> Column:
    """The column of a field; what has parts of its own (arrays, maps, records, wide unions) is JSON."""
    sql_type = SQL_TYPES.get(field.logical_type or field.type) or SQL_TYPES.get(field.type, "jsonb")
    adapt = _as_json if sql_type == "jsonb" else _as_text if field.type == "enum" else None
    return Column(field.name, sql_type, adapt)


@lru_cache(maxsize=1024)
def columns_of(schema: str) -> tuple[Column, ...]:
    """The columns of a dataset's table, in the order of its schema."""
    return tuple(column_of(field) for field in codec_of_text(schema).fields)
