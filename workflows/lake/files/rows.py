"""A dataset's rows out of its table, a frame at a time: copied out by Postgres, so memory holds a few thousand."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import msgspec
import polars as pl
import psycopg
from psycopg import Connection, sql

from datapunk import Rejected
from datapunk.errors import ConfigurationError, StoreError
from projections.lake.columns import OFFSET, PARTITION, Column, columns_of
from projections.lake.filters import condition
from projections.lake.records import table_name
from schemas.lake.types import Filter, Operator
from workflows.lake.files.coercion import coerced
from workflows.lake.files.fields import JSON, Field, read, readable_fields_of, written_dtype

BATCH_BYTES = 4 * 1024 * 1024  # of text
CONNECT_TIMEOUT_S = 10

_CONDITION = re.compile(r"\s*(\w+)\s*(=|!=|<=|>=|<|>)\s*(.*?)\s*", re.DOTALL)
_OPERATORS = {
    "=": Operator.EQ,
    "!=": Operator.NE,
    "<": Operator.LT,
    "<=": Operator.LE,
    ">": Operator.GT,
    ">=": Operator.GE,
}


@dataclass(frozen=True)
class Table:
    """The table of a dataset.

    Attributes:
        name: in the schema of its projection.
        schema: of the dataset's records.
        fields: as columns of frames.
    """

    name: str
    schema: str
    fields: tuple[Field, ...]

    @classmethod
    def find(cls, conn: Connection, tenant: str, dataset: str) -> Table:
        """The table of a dataset, in a transaction in which it stays as it is.

        Raises:
            StoreError: if there's no such dataset.
        """
        try:
            found = conn.execute(
                "select number, schema from lake_records.catalog where tenant = %s and dataset = %s", (tenant, dataset)
            ).fetchone()
        except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName):
            found = None
        if found is None:
            raise StoreError(f"there is no dataset {dataset}")
        return cls(table_name(found[0]), found[1], readable_fields_of(found[1]))

    @property
    def dtypes(self) -> dict[str, pl.DataType]:
        """Of the frames."""
        return {field.name: field.dtype for field in self.fields}

    def frames(self, conn: Connection, conditions: Sequence[str] = ()) -> Iterator[pl.DataFrame]:
        """The rows in the order in which they came, partition by partition.

        Args:
            conn: in the transaction in which the table was found.
            conditions: as in `celsius >= 1.5`; rows that meet all.

        Raises:
            ConfigurationError: if a condition makes no sense.
        """
        columns = columns_of(self.schema)
        where = [_condition(text, {column.field: column for column in columns}) for text in conditions]
        statement = sql.SQL("copy (select {}, {} from {} {} order by {}, {}) to stdout (format csv)").format(
            sql.Identifier(OFFSET),  # so that no line is blank
            sql.SQL(", ").join(map(_selected, columns)),
            sql.Identifier("lake_records", self.name),
            sql.SQL("where ") + sql.SQL(" and ").join(where) if where else sql.SQL(""),
            sql.Identifier(PARTITION),
            sql.Identifier(OFFSET),
        )
        waiting = bytearray()
        with conn.cursor() as cursor, cursor.copy(statement) as copy:
            for row in copy:
                waiting += row
                if len(waiting) >= BATCH_BYTES:
                    yield self._frame(waiting)
                    waiting = bytearray()
        if waiting:
            yield self._frame(waiting)

    def _frame(self, data: bytearray) -> pl.DataFrame:
        schema = {OFFSET: pl.String(), **{field.name: pl.String() for field in self.fields}}
        texts = pl.read_csv(io.BytesIO(data), has_header=False, schema=schema)
        return pl.DataFrame([_typed(field, texts.get_column(field.name)) for field in self.fields])


def connected(database_url: str) -> Connection:
    """A connection whose transaction sees one moment, and times in UTC."""
    conn = psycopg.connect(database_url, connect_timeout=CONNECT_TIMEOUT_S)
    conn.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
    conn.read_only = True
    conn.execute("set timezone to 'UTC'")
    conn.execute("set datestyle to 'ISO'")
    return conn


def _selected(column: Column) -> sql.Composed:
    name = sql.Identifier(column.name)
    return sql.SQL("encode({}, 'hex')").format(name) if column.sql_type == "bytea" else sql.SQL("{}").format(name)


def _typed(field: Field, text: pl.Series) -> pl.Series:
    if field.kind == JSON:
        return text
    if field.is_nested:
        decoded = text.str.json_decode(written_dtype(field, is_tagged=False))
        return decoded.to_frame().select(read(field, pl.col(field.name), is_tagged=False).alias(field.name)).to_series()
    if field.dtype == pl.Binary:
        return text.str.decode("hex")
    values, _ = coerced(field, text)
    assert values.null_count() == text.null_count()  # what is in the table is of its type
    return values


def _condition(text: str, columns: Mapping[str, Column]) -> sql.Composed:
    match = _CONDITION.fullmatch(text)
    if match is None:
        raise ConfigurationError(f"--where {text!r}: a condition is a field, one of = != < <= > >=, and a value")
    field, operator, value = match.groups()
    column = columns.get(field)
    if column is None:
        raise ConfigurationError(f"--where {text!r}: the dataset has no field {field}; it has {', '.join(columns)}")
    try:
        try:
            return condition(column, Filter(field=field, op=_OPERATORS[operator], value=value))
        except Rejected:  # a text need not be in quotes
            quoted = msgspec.json.encode(value).decode()
            return condition(column, Filter(field=field, op=_OPERATORS[operator], value=quoted))
    except Rejected as rejection:
        raise ConfigurationError(f"--where {text!r}: {rejection}") from None
