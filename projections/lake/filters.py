"""A filter as a condition in SQL."""

from __future__ import annotations

from base64 import b64decode
from typing import Any

import msgspec
from psycopg import sql

from datapunk import Rejected
from projections.lake.columns import Column
from schemas.lake.types import Filter, Operator

COMPARISONS = {
    Operator.EQ: sql.SQL("="),
    Operator.NE: sql.SQL("<>"),
    Operator.LT: sql.SQL("<"),
    Operator.LE: sql.SQL("<="),
    Operator.GT: sql.SQL(">"),
    Operator.GE: sql.SQL(">="),
}
MAX_IN = 1000  # values


def condition(column: Column, filter: Filter) -> sql.Composed:
    """The SQL of one filter; values are literals, quoted by the driver and cast to the column's type.

    Raises:
        Rejected: `filter_invalid`, saying what is wrong with it.
    """
    name = sql.Identifier(column.name)
    if filter.op is Operator.IS_NULL:
        return sql.SQL("{} is null").format(name)
    if filter.op is Operator.NOT_NULL:
        return sql.SQL("{} is not null").format(name)
    try:
        value: Any = msgspec.json.decode(filter.value)
    except msgspec.DecodeError as error:
        raise Rejected("filter_invalid", f"the value for {column.name} isn't JSON: {error}") from None
    if column.sql_type == "jsonb":
        raise Rejected("filter_invalid", f"{column.name} holds structures; only IS_NULL and NOT_NULL apply to it")
    if filter.op is Operator.IN:
        if not isinstance(value, list) or len(value) > MAX_IN:
            raise Rejected("filter_invalid", f"IN on {column.name} takes an array of at most {MAX_IN} values")
        if not value:
            return sql.SQL("{}").format(sql.SQL("false"))
        return sql.SQL("{} in ({})").format(name, sql.SQL(", ").join(literal(column, item) for item in value))
    if filter.op is Operator.PREFIX:
        if column.sql_type != "text":
            raise Rejected("filter_invalid", f"PREFIX applies to text, and {column.name} is {column.sql_type}")
        return sql.SQL("{} ^@ {}").format(name, literal(column, value))
    return sql.SQL("{} {} {}").format(name, COMPARISONS[filter.op], literal(column, value))


def literal(column: Column, value: Any) -> sql.Composed:
    """A JSON scalar as a literal of the column's type."""
    if value is None or isinstance(value, (list, dict)):
        raise Rejected("filter_invalid", f"{column.name} is compared with one value; use IS_NULL for null")
    if column.sql_type == "bytea":
        try:
            return sql.SQL("{}").format(sql.Literal(b64decode(value, validate=True)))
        except (ValueError, TypeError):
            raise Rejected("filter_invalid", f"{column.name} holds bytes: give them as base64 text") from None
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    if "\0" in text:
        raise Rejected("filter_invalid", f"the value for {column.name} has a NUL character, which no text here has")
    return sql.SQL("{}::{}").format(sql.Literal(text), sql.SQL(column.sql_type))  # pyright: ignore[reportArgumentType]
