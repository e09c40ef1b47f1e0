"""Which rows of a partition are older than they're kept."""

from __future__ import annotations

from datetime import datetime

from psycopg import sql

from projections.lake.columns import OFFSET, columns_of

# What a moment is compared with, by the column's type.
MOMENTS = {
    "timestamptz": "{}::timestamptz",
    "timestamp": "({}::timestamptz at time zone 'UTC')",
    "date": "({}::timestamptz at time zone 'UTC')::date",
}


def is_older(schema: str, until: int, field: str | None, before: datetime) -> sql.Composed:
    """The condition for rows of a partition's table.

    Args:
        schema: of the dataset's records.
        until: rows from this offset on aren't meant.
        field: of those before, only rows in which this one is before `before`; none: all of them.
        before: a moment; of a date, what counts is the day in UTC.
    """
    condition = sql.SQL("{} < {}").format(sql.Identifier(OFFSET), sql.Literal(until))
    if field is None:
        return condition
    column = next(column for column in columns_of(schema) if column.field == field)
    moment = sql.SQL(MOMENTS[column.sql_type]).format(sql.Literal(before))  # pyright: ignore[reportArgumentType]
    return sql.SQL("{} and {} < {}").format(condition, sql.Identifier(column.name), moment)
