"""Workers that start with full queues and all they need, and empty them: nothing but their work is measured."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from time import perf_counter
from typing import Any

from psycopg import AsyncConnection

from datapunk.settings import Settings
from datapunk.store.connection import connect
from datapunk.store.read import last_position
from datapunk.worker import prepare
from tests.bench.filling import fill
from tests.bench.trips.module import trips
from tests.bench.worker import WORKER
from tests.working import eventually, worker_process

PATIENCE_S = 300


def nobody(pids: Sequence[int]) -> None:
    """Who looks on when nobody does."""


async def drain(
    settings: Settings, commands: int, *, processes: int = 1, onlooker: Callable[[Sequence[int]], None] = nobody
) -> float:
    """Seconds from the moment in which all workers may commit until the last command is committed.

    By then the broker has delivered what workers may hold (`DATAPUNK_PREFETCH` a shard).

    Args:
        settings: an arena's.
        commands: how many are in the queues.
        processes: workers, each with its share of the shards.
        onlooker: told the workers' process ids just before they may commit.
    """
    _, shards = await prepare([trips], settings)
    async with AsyncExitStack() as stack:
        watching = await stack.enter_async_context(await connect(settings.database_url))
        blocking = await stack.enter_async_context(await connect(settings.database_url))
        async with blocking.transaction():
            await blocking.execute("lock table events in exclusive mode")  # workers wait at their first commit
            workers = [
                await stack.enter_async_context(worker_process(settings, main=WORKER, arguments=[trips.name]))
                for _ in range(processes)
            ]
            share = [shards[trips.name] // processes] * processes
            await eventually(lambda: _are_shared_out(watching, share), "every process has its share")
            await fill(settings, commands)
            onlooker([worker.pid for worker in workers])
        began = perf_counter()
        await eventually(lambda: _are_committed(watching, commands), "all commands are committed", PATIENCE_S)
        return perf_counter() - began


async def _are_shared_out(conn: AsyncConnection[Any], share: list[int]) -> bool:
    cursor = await conn.execute(
        "select count(*) from leases where group_name = 'trips.shards' and owner is not null group by owner"
    )
    return [row[0] for row in await cursor.fetchall()] == share


async def _are_committed(conn: AsyncConnection[Any], commands: int) -> bool:
    if await last_position(conn) < commands:  # cheap, and may count what isn't committed
        return False
    row = await (await conn.execute("select count(*) from events")).fetchone()
    assert row is not None  # a count is a row
    return row[0] == commands
