"""A projector for tests, without a broker: what it applies was appended to the store by hand."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from psycopg import AsyncConnection

from datapunk.messages.registry import Registry
from datapunk.projection import Projection
from datapunk.projector import Projector
from datapunk.settings import Settings
from datapunk.store.statements import statement
from tests.accounts.module import accounts
from tests.working import DEADLINE_S, eventually


@asynccontextmanager
async def projecting(projection: Projection, settings: Settings) -> AsyncIterator[Projector]:
    """Keep a projection up to date meanwhile."""
    projector = Projector(projection, Registry.of([accounts]), settings)
    stop = asyncio.Event()
    running = asyncio.create_task(projector.run(stop))
    try:
        yield projector
    finally:
        stop.set()
        await asyncio.wait_for(running, DEADLINE_S)


async def balances(conn: AsyncConnection[Any]) -> list[tuple[str, int, int]]:
    """What readers see of tests.accounts: account, cents, deposits."""
    cursor = await conn.execute("select account, cents, deposits from accounts_balances.balances order by account")
    return [(row[0], int(row[1]), int(row[2])) for row in await cursor.fetchall()]


async def until_applied(conn: AsyncConnection[Any], position: int, name: str = "accounts.balances") -> None:
    """Wait until a projection serves everything up to a position."""

    async def is_there() -> bool:
        cursor = await conn.execute(statement("least_checkpoint"), {"projections": [name]})
        row = await cursor.fetchone()
        return bool(row and row[0] >= position)

    await eventually(is_there, f"{name} at {position}")


async def set_paused(conn: AsyncConnection[Any], is_paused: bool, name: str = "accounts.balances") -> None:
    """Pause or resume, as `datapunk projections pause` does."""
    await conn.execute(statement("set_projection_paused"), {"projection": name, "is_paused": is_paused})
