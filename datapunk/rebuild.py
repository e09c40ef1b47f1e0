"""Rebuilds a projection beside the one that serves reads, and switches in one step (blue/green).

The new generation is filled from the whole history in a schema of its own. When it's nearly there, a short
transaction holds off the projector of the old one, applies the rest, renames the schemas and names the new
generation active: a reader's statement sees the old tables or the new ones, whole.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from psycopg import AsyncConnection, sql

from datapunk.errors import ConfigurationError
from datapunk.generation import Generation, active
from datapunk.messages.registry import Registry
from datapunk.projection import Projection
from datapunk.settings import Settings
from datapunk.store.connection import connect
from datapunk.store.read import read_all, safe_position
from datapunk.store.statements import statement

Progress = Callable[[int, int], None]  # positions done, positions in all
NEAR = 500  # positions: the rest that is applied while the old generation's projector waits


async def rebuild(
    projection: Projection,
    registry: Registry,
    settings: Settings,
    on_progress: Progress = lambda done, total: None,
) -> Generation:
    """Build a new generation from history and let it serve reads.

    Args:
        projection: what to rebuild.
        registry: decodes events.
        settings: database and batch size.
        on_progress: told how far it is after each batch.

    Raises:
        ConfigurationError: if it's being rebuilt already.
    """
    async with await connect(settings.database_url) as conn:
        name = projection.full_name()
        cursor = await conn.execute(statement("try_lock_rebuild"), {"projection": name})
        row = await cursor.fetchone()
        if not (row and row[0]):
            raise ConfigurationError(f"{name} is being rebuilt already; wait for that to end")
        old = await active(conn, projection)
        building = await _begin(conn, projection, old.number + 1)
        while True:
            total = await safe_position(conn)
            on_progress(building.position, total)
            if total - building.position <= NEAR:
                break
            building, _ = await building.apply(conn, registry, settings.projection_batch)
        new = await _switch(conn, registry, building)
        on_progress(new.position, new.position)
        await conn.execute(sql.SQL("drop schema if exists {} cascade").format(sql.Identifier(_old_schema(projection))))
        return new


async def _begin(conn: AsyncConnection[Any], projection: Projection, number: int) -> Generation:
    """An empty generation; what an interrupted rebuild left behind goes first."""
    building = Generation(projection, number, f"{projection.schema()}_g{number}", 0, projection.version)
    async with conn.transaction():
        for leftover in (building.schema, _old_schema(projection)):
            await conn.execute(sql.SQL("drop schema if exists {} cascade").format(sql.Identifier(leftover)))
        await conn.execute(statement("delete_checkpoint"), {"projection": projection.full_name(), "generation": number})
        await building.create(conn)
    return building


async def _switch(conn: AsyncConnection[Any], registry: Registry, building: Generation) -> Generation:
    projection = building.projection
    name, serving = projection.full_name(), projection.schema()
    async with conn.transaction():
        # The projector's transactions move the active checkpoint and so wait for this row's lock.
        await conn.execute(statement("lock_projection"), {"projection": name})
        types = [event.message_type for event in projection.handlers]
        while True:
            events, reached = await read_all(conn, building.position, NEAR, types=types)
            if reached == building.position:
                break
            await building.move(conn, reached)
            await building.write(conn, registry, events)
            building = replace(building, position=reached)
        for old, new in ((serving, _old_schema(projection)), (building.schema, serving)):
            await conn.execute(sql.SQL("alter schema {} rename to {}").format(sql.Identifier(old), sql.Identifier(new)))
        await conn.execute(statement("set_active_generation"), {"projection": name, "generation": building.number})
    return replace(building, schema=serving)


def _old_schema(projection: Projection) -> str:
    return f"{projection.schema()}_old"
