"""Compares a projection's tables with a replay: another generation, built from history, looked at and thrown away.

Nobody notices but the projector, which waits for a moment: while it does, the replay is brought to the very
position that the serving tables have, and both are then read as they were at that moment.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import psycopg
from psycopg import AsyncConnection, sql

from datapunk.errors import ProjectionFailed, RebuildUnderWay
from datapunk.generation import Generation, active, locked
from datapunk.messages.registry import Registry
from datapunk.projection import Projection
from datapunk.rebuild import NEAR_BATCHES, discard, is_of_a_handler, lock_rebuild
from datapunk.settings import Settings
from datapunk.store.canonical import one_moment
from datapunk.store.connection import connect
from datapunk.store.statements import statement

OnProgress = Callable[[int, int], None]  # positions done, positions in all


@dataclass(frozen=True, slots=True)
class Contents:
    """What is in a table.

    Attributes:
        columns: names with types, in order.
        rows: how many.
        checksum: the same for the same rows, in whatever order.
    """

    columns: list[str]
    rows: int
    checksum: str


@dataclass(frozen=True, slots=True)
class TableComparison:
    """One table, as it serves and as a replay gives it; either may lack it.

    Attributes:
        only_served: the first rows that the replay doesn't have.
        only_replayed: the first rows that only the replay has.
    """

    table: str
    served: Contents | None
    replayed: Contents | None
    only_served: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    only_replayed: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])

    @property
    def is_equal(self) -> bool:
        """Whether both have the same columns and rows."""
        return self.served == self.replayed


@dataclass(frozen=True, slots=True)
class Comparison:
    """All tables of a projection, at a position.

    Attributes:
        position: all events up to here are applied.
        served_version: of the projection's code that built the tables that serve.
        replayed_version: of the installed code, which replayed.
    """

    projection: str
    position: int
    served_version: int
    replayed_version: int
    tables: list[TableComparison]

    @property
    def is_equal(self) -> bool:
        """Whether what serves is what a replay gives."""
        return all(table.is_equal for table in self.tables)


async def compare(
    projection: Projection,
    registry: Registry,
    settings: Settings,
    *,
    rows: int = 5,
    on_progress: OnProgress = lambda done, total: None,
) -> Comparison:
    """Replay history into tables of their own, and compare these with the ones that serve.

    Args:
        projection: which.
        registry: decodes events.
        settings: database and batch size.
        rows: most differing rows to give of each table and side.
        on_progress: told how far the replay is after each batch.

    Raises:
        RebuildUnderWay: if it's being rebuilt or compared already.
        ProjectionFailed: if a handler fails.
    """
    name = projection.full_name()
    async with await connect(settings.database_url) as conn, await connect(settings.database_url) as looking:
        if not await lock_rebuild(conn, name):
            raise RebuildUnderWay(f"{name} is being rebuilt or compared already; wait for that to end")
        serving = await active(conn, projection)
        await discard(conn, serving)
        try:
            replayed = await _replay(conn, serving, registry, settings.projection_batch, on_progress)
            async with one_moment(looking):
                position = await _meet(conn, looking, replayed, registry, settings)
                tables = [
                    await _compare_table(looking, serving.schema, replayed.schema, table, rows)
                    for table in sorted(
                        {*await _tables(looking, serving.schema), *await _tables(looking, replayed.schema)}
                    )
                ]
        except Exception as error:
            if is_of_a_handler(error):
                raise ProjectionFailed(f"{name} can't be replayed: {type(error).__name__}: {error}") from error
            raise
        finally:
            with suppress(psycopg.Error, OSError):  # else the next one, or the projector, takes it away
                await discard(conn, await active(conn, projection))
    return Comparison(name, position, serving.version, projection.version, tables)


async def _replay(
    conn: AsyncConnection[Any], serving: Generation, registry: Registry, batch: int, on_progress: OnProgress
) -> Generation:
    """A generation that is nearly as far as the serving one."""
    replayed = await serving.begin_next(conn)
    while True:
        until = (await active(conn, serving.projection)).position
        on_progress(replayed.position, until)
        if until - replayed.position <= NEAR_BATCHES * batch:
            return replayed
        replayed, _ = await replayed.apply(conn, registry, batch, until=until)


async def _meet(
    conn: AsyncConnection[Any],
    looking: AsyncConnection[Any],
    replayed: Generation,
    registry: Registry,
    settings: Settings,
) -> int:
    """Bring the replay to the serving generation's position, and let `looking` see both there; returns it."""
    projection = replayed.projection
    async with await connect(settings.database_url) as holding, holding.transaction():
        # The projector's transactions share a lock on this row and so wait; its tables stand still.
        position = (await locked(holding, projection)).position
        await replayed.write_until(conn, registry, position, settings.projection_batch)
        await looking.execute("select 1")  # from here on it sees the database as it is now
    return position


async def _tables(conn: AsyncConnection[Any], schema: str) -> list[str]:
    cursor = await conn.execute(statement("query_tables"), {"schema": schema})
    return [row[0] for row in await cursor.fetchall()]


async def _compare_table(
    conn: AsyncConnection[Any], served: str, replayed: str, table: str, rows: int
) -> TableComparison:
    ours, theirs = await _contents(conn, served, table), await _contents(conn, replayed, table)
    if ours is None or theirs is None or ours == theirs:
        return TableComparison(table, ours, theirs)
    only_served = await _difference(conn, (served, table), (replayed, table), rows)
    only_replayed = await _difference(conn, (replayed, table), (served, table), rows)
    return TableComparison(table, ours, theirs, only_served, only_replayed)


async def _contents(conn: AsyncConnection[Any], schema: str, table: str) -> Contents | None:
    cursor = await conn.execute(statement("query_columns"), {"schema": schema, "table": table})
    columns = [row[0] for row in await cursor.fetchall()]
    if not columns and table not in await _tables(conn, schema):
        return None
    cursor = await conn.execute(sql.SQL(statement("checksum_table")).format(table=sql.Identifier(schema, table)))
    row = await cursor.fetchone()
    assert row is not None  # an aggregate
    return Contents(columns, row[0], row[1])


async def _difference(
    conn: AsyncConnection[Any], one: tuple[str, str], other: tuple[str, str], limit: int
) -> list[dict[str, Any]]:
    """The first rows that one table has and the other doesn't."""
    query = sql.SQL(statement("query_difference")).format(one=sql.Identifier(*one), other=sql.Identifier(*other))
    cursor = await conn.execute(query, {"limit": limit})
    return [row[0] for row in await cursor.fetchall()]
