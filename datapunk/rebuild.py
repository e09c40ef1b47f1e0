"""Rebuilds a projection beside the one that serves reads, and switches in one step (blue/green).

The new generation is filled from the whole history in a schema of its own. When it's nearly there, a short
transaction holds off the projector of the old one, applies the rest, renames the schemas and names the new
generation active: a reader's statement sees the old tables or the new ones, whole, and never goes back in time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from time import monotonic
from typing import Any

import psycopg
from psycopg import AsyncConnection, sql

from datapunk.errors import DatapunkError, ProjectionFailed, RebuildUnderWay
from datapunk.generation import Generation, active, locked
from datapunk.messages.registry import Registry
from datapunk.projection import Projection
from datapunk.settings import Settings
from datapunk.store.connection import connect
from datapunk.store.read import safe_position
from datapunk.store.statements import statement

OnProgress = Callable[[int, int], None]  # positions done, positions in all
TIDYING_S = 2.0  # how long another one may hold the lock before it counts as a rebuild
NEAR_BATCHES = 10  # left to the end: the switch, which holds off the projector (not readers), applies the rest


async def rebuild(
    projection: Projection,
    registry: Registry,
    settings: Settings,
    on_progress: OnProgress = lambda done, total: None,
) -> Generation:
    """Build a new generation from history and let it serve reads.

    A paused projection is brought to the present by it, and is still paused then. Interrupted, it takes away
    what it built.

    Args:
        projection: what to rebuild.
        registry: decodes events.
        settings: database and batch size.
        on_progress: told how far it is after each batch.

    Raises:
        RebuildUnderWay: if it's being rebuilt already.
        ProjectionFailed: if a handler fails.
    """
    name = projection.full_name()
    async with await connect(settings.database_url) as conn:
        # Whoever only takes leftovers away is soon done.
        began = monotonic()
        while not await lock_rebuild(conn, name):
            if monotonic() - began < TIDYING_S:
                await asyncio.sleep(0.05)
                continue
            raise RebuildUnderWay(f"{name} is being rebuilt already; wait for that to end")
        old = await active(conn, projection)
        await discard(conn, old)
        try:
            building = await _fill(conn, old, registry, settings.projection_batch, on_progress)
            new = await _switch(conn, registry, building, settings.projection_batch)
        except BaseException as error:
            with suppress(psycopg.Error, OSError):  # else the next one, or the projector, takes it away
                await discard(conn, await active(conn, projection))
            if is_of_a_handler(error):
                raise ProjectionFailed(
                    f"{name} can't be rebuilt: {type(error).__name__}: {error}; the old tables go on serving reads"
                ) from error
            raise
        on_progress(new.position, new.position)
        await discard(conn, new)
        return new


async def discard_leftovers(conn: AsyncConnection[Any], serving: Generation) -> None:
    """Take away what a rebuild that was killed left behind, unless one is under way."""
    name = serving.projection.full_name()
    if await _others(conn, serving) and await lock_rebuild(conn, name):
        try:  # a rebuild may have ended between the two looks: look anew at what serves
            await discard(conn, await active(conn, serving.projection))
        finally:
            await conn.execute(statement("unlock_rebuild"), {"projection": name})


def is_of_a_handler(error: BaseException) -> bool:
    """Whether a module's code failed, rather than a server or what is ours."""
    is_ours = isinstance(error, DatapunkError | psycopg.OperationalError | psycopg.InterfaceError | OSError)
    return isinstance(error, Exception) and not is_ours


async def lock_rebuild(conn: AsyncConnection[Any], name: str) -> bool:
    """Keep others from building generations of this projection, while the connection lasts; false if one is at it."""
    cursor = await conn.execute(statement("try_lock_rebuild"), {"projection": name})
    row = await cursor.fetchone()
    return bool(row and row[0])


async def discard(conn: AsyncConnection[Any], serving: Generation) -> None:
    """Drop all of a projection that isn't the serving generation; the caller holds the lock."""
    for schema in await _others(conn, serving):
        # Table by table: dropped at once, thousands of them would need more locks than a database has.
        cursor = await conn.execute(statement("query_tables"), {"schema": schema})
        for (table,) in await cursor.fetchall():
            await conn.execute(sql.SQL("drop table {} cascade").format(sql.Identifier(schema, table)))
        await conn.execute(sql.SQL("drop schema {} cascade").format(sql.Identifier(schema)))
    await conn.execute(
        statement("delete_checkpoints_but"),
        {"projection": serving.projection.full_name(), "generation": serving.number},
    )


async def _others(conn: AsyncConnection[Any], serving: Generation) -> list[str]:
    cursor = await conn.execute(statement("query_generation_schemas"), {"schema": serving.projection.schema()})
    return [row[0] for row in await cursor.fetchall()]


async def _fill(
    conn: AsyncConnection[Any], old: Generation, registry: Registry, batch: int, on_progress: OnProgress
) -> Generation:
    """A new generation, filled until it's near the end of history."""
    building = await old.begin_next(conn)
    while True:
        total = await safe_position(conn)
        on_progress(building.position, total)
        if total - building.position <= NEAR_BATCHES * batch:
            return building
        building, _ = await building.apply(conn, registry, batch)


async def _switch(conn: AsyncConnection[Any], registry: Registry, building: Generation, batch: int) -> Generation:
    projection = building.projection
    name, serving = projection.full_name(), projection.schema()
    async with conn.transaction():
        # The projector's transactions share a lock on this row and so wait; its checkpoint stands still.
        reached_by_old = (await locked(conn, projection)).position
        target = max(reached_by_old, await safe_position(conn))  # no more: the end goes on moving under load
        while building.position < target:
            building, _ = await building.apply(conn, registry, batch, until=target)
        for old, new in ((serving, f"{serving}_old"), (building.schema, serving)):
            await conn.execute(sql.SQL("alter schema {} rename to {}").format(sql.Identifier(old), sql.Identifier(new)))
        await conn.execute(statement("set_active_generation"), {"projection": name, "generation": building.number})
    return replace(building, schema=serving)
