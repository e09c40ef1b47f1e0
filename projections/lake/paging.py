"""Keyset paging: a page starts after the sort keys of the last row of the page before.

Unlike an offset it costs the same on every page, and rows that arrive meanwhile shift nothing
(https://use-the-index-luke.com/no-offset).
"""

from __future__ import annotations

import zlib
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import msgspec
from psycopg import sql

from datapunk import Rejected, Rows
from projections.lake.columns import OFFSET, PARTITION, Column
from schemas.lake.queries import FindRecords

Partition = Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)]
Offset = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]


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

    async def beyond(self, rows: Rows, table: sql.Identifier, partition: int, offset: int) -> sql.Composed:
        """The condition for rows that come after the one with this place.

        Raises:
            Rejected: `cursor_invalid`, if there's no such row.
        """
        cursor = await rows.execute(
            sql.SQL("select {} from {} where {} = {} and {} = {}").format(
                sql.SQL(", ").join(sql.SQL("{}::text").format(sql.Identifier(key.column.name)) for key in self.keys),
                table,
                sql.Identifier(PARTITION),
                sql.Literal(partition),
                sql.Identifier(OFFSET),
                sql.Literal(offset),
            )
        )
        last = await cursor.fetchone()
        if last is None:
            raise Rejected("cursor_invalid", "`after` must be the `next` of an earlier page")
        return self._beyond(last)

    def _beyond(self, last: Sequence[str | None]) -> sql.Composed:
        """Each row after the last one has the same first keys, and then one that comes after."""
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
        beyond = sql.SQL("({})").format(sql.SQL(" or ").join(alternatives))
        bound = _bound(self.keys[0], last[0])
        return beyond if bound is None else sql.SQL("({} and {})").format(bound, beyond)


def _bound(key: SortKey, value: str | None) -> sql.Composed | None:
    """Where an index can start: what `or` hides from the planner."""
    name = sql.Identifier(key.column.name)
    if value is None:
        return None if key.descending else sql.SQL("{} is null").format(name)
    if key.descending:
        return sql.SQL("{} <= {}").format(name, _typed(key, value))
    return None if key.column.is_nullable else sql.SQL("{} >= {}").format(name, _typed(key, value))


def _after(key: SortKey, value: str | None) -> sql.Composed | None:
    name = sql.Identifier(key.column.name)
    if value is None:
        return sql.SQL("{} is not null").format(name) if key.descending else None
    if key.descending:
        return sql.SQL("{} < {}").format(name, _typed(key, value))
    return sql.SQL("({} > {} or {} is null)").format(name, _typed(key, value), name)


def _typed(key: SortKey, value: str) -> sql.Composed:
    return sql.SQL("{}::{}").format(sql.Literal(value), sql.SQL(key.column.sql_type))  # pyright: ignore[reportArgumentType]


def write_cursor(query: FindRecords, partition: int, offset: int) -> str:
    """An opaque text for `after`: the place of the last row of a page."""
    return urlsafe_b64encode(msgspec.json.encode([_mark(query), partition, offset])).decode()


def read_cursor(query: FindRecords, cursor: str) -> tuple[int, int]:
    """The place in a cursor.

    Raises:
        Rejected: `cursor_invalid`, if it isn't one, or belongs to another query.
    """
    try:
        mark, partition, offset = msgspec.json.decode(urlsafe_b64decode(cursor), type=tuple[int, Partition, Offset])
    except (ValueError, msgspec.DecodeError):
        raise Rejected("cursor_invalid", "`after` must be the `next` of an earlier page") from None
    if mark != _mark(query):
        raise Rejected(
            "cursor_invalid", "`after` comes from another query: dataset, filters and order must be the same"
        )
    return partition, offset


def _mark(query: FindRecords) -> int:
    return zlib.crc32(msgspec.json.encode([query.dataset, query.where, query.order]))
