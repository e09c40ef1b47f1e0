"""A filter as a condition in SQL."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Callable
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any
from uuid import UUID

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

_decode = msgspec.json.Decoder(float_hook=str).decode  # exactly as it was written


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
        value: Any = _decode(filter.value)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise _invalid(column, f"is compared with JSON, which this isn't: {error}") from None
    if column.is_structure:
        raise _invalid(column, "holds structures; only IS_NULL and NOT_NULL apply to it")
    if filter.op is Operator.IN:
        if not isinstance(value, list) or len(value) > MAX_IN:
            raise _invalid(column, f"takes an array of at most {MAX_IN} values for IN")
        if not value:
            return sql.SQL("false").format()
        return sql.SQL("{} in ({})").format(name, sql.SQL(", ").join(literal(column, item) for item in value))
    if filter.op is Operator.PREFIX:
        if column.sql_type != "text":
            raise _invalid(column, f"is {column.sql_type}, and PREFIX applies to text")
        return sql.SQL("{} ^@ {}").format(name, literal(column, value))
    return sql.SQL("{} {} {}").format(name, COMPARISONS[filter.op], literal(column, value))


def literal(column: Column, value: Any) -> sql.Composed:
    """A JSON scalar as a literal of the column's type."""
    if value is None:
        raise _invalid(column, "is compared with a value; use IS_NULL for null")
    try:
        return sql.SQL("{}::{}").format(sql.Literal(_TEXTS[column.sql_type](value)), sql.SQL(column.sql_type))  # pyright: ignore[reportArgumentType]
    except (ValueError, TypeError, ArithmeticError):
        raise _invalid(column, f"is {_WORDS.get(column.sql_type, 'a number')}, which {value!r:.100} isn't") from None


def _invalid(column: Column, text: str) -> Rejected:
    return Rejected("filter_invalid", f"{column.field} {text}")


def _text(value: Any) -> str:
    if not isinstance(value, str) or "\0" in value:
        raise ValueError
    return value


def _boolean(value: Any) -> str:
    if not isinstance(value, bool):
        raise TypeError
    return str(value)


def _number(value: Any) -> str:
    # Fractions come as text, so that no digit is lost; a text may hold a number too, as plain JSON has decimals.
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        raise TypeError
    if not Decimal(value).is_finite():
        raise ValueError
    return str(value)


def _bytes(value: Any) -> bytes:
    return b64decode(_text(value), validate=True)


def _time(value: Any) -> str:
    at = time.fromisoformat(_text(value))
    if at.tzinfo is not None:
        raise ValueError
    return at.isoformat()


def _timestamp(value: Any) -> str:
    at = datetime.fromisoformat(_text(value))
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).isoformat()


def _local_timestamp(value: Any) -> str:
    at = datetime.fromisoformat(_text(value))
    if at.tzinfo is not None:
        raise ValueError
    return at.isoformat()


_TEXTS: dict[str, Callable[[Any], Any]] = {
    "text": _text,
    "boolean": _boolean,
    "integer": _number,
    "bigint": _number,
    "real": _number,
    "double precision": _number,
    "numeric": _number,
    "bytea": _bytes,
    "uuid": lambda value: str(UUID(_text(value))),
    "date": lambda value: date.fromisoformat(_text(value)).isoformat(),
    "time": _time,
    "timestamptz": _timestamp,
    "timestamp": _local_timestamp,
}
_WORDS = {
    "text": "text",
    "boolean": "true or false",
    "bytea": "bytes, in base64",
    "uuid": "a uuid",
    "date": "a date, as in 2013-12-31",
    "time": "a time of day, as in 09:05:00",
    "timestamptz": "a timestamp, as in 2013-12-31T09:05:00Z",
    "timestamp": "a timestamp without a zone, as in 2013-12-31T09:05:00",
}
