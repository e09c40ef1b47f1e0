"""Keyset paging: a page starts after the sort keys of the last row of the page before.

Unlike an offset it costs the same on every page, and rows that arrive meanwhile shift nothing
(https://use-the-index-luke.com/no-offset).
"""

from __future__ import annotations

import zlib
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
from psycopg import sql

from datapunk import Rejected
from projections.lake.columns import Column
from schemas.lake.queries import FindRecords

Keys = Sequence[str | None]


@dataclass(frozen=True, slots=True)
class SortKey:
    """A column to sort by. Nulls come last, or first when descending."""

    column: Column
    descending: bool


@dataclass(frozen=True, slots=True)
class Page:
    """Sort keys that together are unique, so that every row has its place."""

    keys: Sequence[SortKey]

    def order_by(self) -> sql.Composed:
        """The `order by` list."""
        return sql.SQL(", ").join(
            sql.SQL("{} desc nulls first" if key.descending else "{} asc nulls last").format(
                sql.Identifier(key.column.name)
            )
            for key in self.keys
        )

    def keys_as_text(self) -> sql.Composed:
        """The sort keys as they're kept in a cursor."""
        return sql.SQL(", ").join(
            sql.SQL("{}::text as {}").format(sql.Identifier(key.column.name), sql.Identifier(f"_key{number}"))
            for number, key in enumerate(self.keys)
        )

    def beyond(self, last: Keys) -> sql.Composed:
        """The condition for rows that come after the one with these keys."""
        if len(last) != len(self.keys):
            raise Rejected("cursor_invalid", "`after` doesn't fit this query's order")
        alternatives: list[sql.Composable] = []
        equal: list[sql.Composable] = []
        for key, value in zip(self.keys, last, strict=True):
            after = _after(key, value)
            if after is not None:
                alternatives.append(sql.SQL("({})").format(sql.SQL(" and ").join([*equal, after])))
            name = sql.Identifier(key.column.name)
            equal.append(
                sql.SQL("{} is null").format(name)
                if value is None
                else sql.SQL("{} = {}").format(name, _typed(key, value))
            )
        return sql.SQL("({})").format(sql.SQL(" or ").join(alternatives))


def _after(key: SortKey, value: str | None) -> sql.Composed | None:
    name = sql.Identifier(key.column.name)
    if value is None:
        return sql.SQL("{} is not null").format(name) if key.descending else None
    if key.descending:
        return sql.SQL("{} < {}").format(name, _typed(key, value))
    return sql.SQL("({} > {} or {} is null)").format(name, _typed(key, value), name)


def _typed(key: SortKey, value: str) -> sql.Composed:
    return sql.SQL("{}::{}").format(sql.Literal(value), sql.SQL(key.column.sql_type))  # pyright: ignore[reportArgumentType]


def write_cursor(query: FindRecords, keys: Keys) -> str:
    """An opaque text for `after`."""
    return urlsafe_b64encode(msgspec.json.encode([_mark(query), *keys])).decode()


def read_cursor(query: FindRecords, cursor: str) -> Keys:
    """The keys in a cursor.

    Raises:
        Rejected: `cursor_invalid`, if it isn't one, or belongs to another query.
    """
    try:
        mark, *keys = msgspec.json.decode(urlsafe_b64decode(cursor), type=list[int | str | None])
    except (ValueError, msgspec.DecodeError):
        raise Rejected("cursor_invalid", "`after` must be the `next` of an earlier page") from None
    if mark != _mark(query):
        raise Rejected(
            "cursor_invalid", "`after` comes from another query: dataset, filters and order must be the same"
        )
    return [None if key is None else str(key) for key in keys]


def _mark(query: FindRecords) -> int:
    return zlib.crc32(msgspec.json.encode([query.dataset, query.where, query.order]))
