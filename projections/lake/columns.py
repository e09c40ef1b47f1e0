"""How the fields of a dataset's Avro schema become the columns of its table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from datapunk.messages.codec import FieldDescription, codec_of_text
from datapunk.messages.text_cache import TextCache

# What is reserved for ourselves starts with an underscore; datasets can't have such fields.
PARTITION, OFFSET = "_partition", "_offset"

# Columns that every table of Postgres has already; a field of that name gets an underscore before it.
SYSTEM_COLUMNS = frozenset({"tableoid", "ctid", "xmin", "xmax", "cmin", "cmax"})

STRUCTURE = "json"  # arrays, maps, records and unions of several types; text, so that all comes back as it was
SQL_TYPES = {
    "string": "text",
    "enum": "text",
    "int": "integer",
    "long": "bigint",
    "float": "real",
    "double": "double precision",
    "boolean": "boolean",
    "bytes": "bytea",
    "fixed": "bytea",
}
LOGICAL_SQL_TYPES = {
    ("string", "uuid"): "uuid",
    ("fixed", "uuid"): "uuid",
    ("int", "date"): "date",
    ("int", "time-millis"): "time",
    ("long", "time-micros"): "time",
    ("long", "timestamp-millis"): "timestamptz",
    ("long", "timestamp-micros"): "timestamptz",
    ("long", "local-timestamp-millis"): "timestamp",
    ("long", "local-timestamp-micros"): "timestamp",
    ("bytes", "decimal"): "numeric",
    ("fixed", "decimal"): "numeric",
}


@dataclass(frozen=True, slots=True)
class Column:
    """One column.

    Attributes:
        field: of the schema, that it holds.
        name: in the table.
        sql_type: of Postgres.
        attribute: of a decoded record, where the value is.
        adapt: how the value is handed to Postgres; none: as it is.
        is_nullable: whether it may be null.
    """

    field: str
    name: str
    sql_type: str
    attribute: str = ""
    adapt: Callable[[Any], Any] | None = None
    is_nullable: bool = False

    @property
    def is_structure(self) -> bool:
        """Whether the value has parts, and so neither an order nor an index."""
        return self.sql_type == STRUCTURE

    @property
    def definition(self) -> str:
        """As `create table` has it: text is compared by code point, on every machine the same."""
        return f'{self.sql_type} collate "C"' if self.sql_type == "text" else self.sql_type


def column_of(field: FieldDescription) -> Column:
    """The column of a field."""
    logical = LOGICAL_SQL_TYPES.get((field.type, field.logical_type or ""))
    sql_type = logical or SQL_TYPES.get(field.type, STRUCTURE)
    name = f"_{field.name}" if field.name in SYSTEM_COLUMNS else field.name
    adapt = _symbol if field.type == "enum" else None
    return Column(field.name, name, sql_type, field.attribute, adapt, field.is_nullable)


@TextCache
def columns_of(schema: str) -> tuple[Column, ...]:
    """The columns of a dataset's table, in the order of its schema."""
    return tuple(map(column_of, codec_of_text(schema).fields))


def _symbol(value: Any) -> str | None:
    return None if value is None else str(value.value)
