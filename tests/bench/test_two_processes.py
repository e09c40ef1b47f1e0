"""What a second process adds: the same commands by one process and by two, from full queues to the last commit.

Servers and processes share the machine's cores: where there are hardly more of them than one process and its
servers keep busy, a second process can't add much.
"""

from __future__ import annotations

import asyncio
import statistics
from contextlib import AsyncExitStack
from time import perf_counter
from typing import Any

import psutil
import pytest
from psycopg import AsyncConnection
from rich.console import Console
from rich.table import Table

from datapunk.settings import Settings
from datapunk.stack.running import Endpoints
from datapunk.store.connection import connect
from datapunk.store.read import last_position
from datapunk.worker import prepare
from tests.bench.arena import arena
from tests.bench.filling import fill
from tests.bench.trips.module import trips
from tests.bench.worker import WORKER
from tests.working import eventually, worker_process

ROUNDS = 3
COMMANDS = 40_000
PATIENCE_S = 300


@pytest.mark.bench
@pytest.mark.servers
@pytest.mark.timeout(ROUNDS * 2 * PATIENCE_S)
def test_two_processes_beside_one(durable_stack: Endpoints) -> None:
    rates: dict[int, list[float]] = {1: [], 2: []}
    for _ in range(ROUNDS):
        for processes, values in rates.items():
            with arena(durable_stack) as settings:
                values.append(COMMANDS / asyncio.run(_took_s(settings, processes)))
    one, two = (statistics.median(values) for values in rates.values())
    table = Table("one process", "two processes", "ratio", "cores", title="Commands/s until the last is committed")
    table.add_row(f"{one:,.0f}", f"{two:,.0f}", f"{two / one:.2f} ×", f"{len(psutil.Process().cpu_affinity())}")
    Console(width=110).print(table)


async def _took_s(settings: Settings, processes: int) -> float:
    """Seconds from the moment in which all processes may commit, each with its share of the full queues."""
    _, shards = await prepare([trips], settings)
    async with AsyncExitStack() as stack:
        watching = await stack.enter_async_context(await connect(settings.database_url))
        blocking = await stack.enter_async_context(await connect(settings.database_url))
        async with blocking.transaction():
            await blocking.execute("lock table events in exclusive mode")  # workers wait at their first commit
            for _ in range(processes):
                await stack.enter_async_context(worker_process(settings, main=WORKER, arguments=["trips"]))
            share = [shards["trips"] // processes] * processes
            await eventually(lambda: _are_shared_out(watching, share), "every process has its share")
            await fill(settings, COMMANDS)
        began = perf_counter()
        await eventually(lambda: _are_committed(watching), "all commands are committed", PATIENCE_S)
        return perf_counter() - began


async def _are_shared_out(conn: AsyncConnection[Any], share: list[int]) -> bool:
    cursor = await conn.execute(
        "select count(*) from leases where group_name = 'trips.shards' and owner is not null group by owner"
    )
    return [row[0] for row in await cursor.fetchall()] == share


async def _are_committed(conn: AsyncConnection[Any]) -> bool:
    if await last_position(conn) < COMMANDS:
        return False
    row = await (await conn.execute("select count(*) from events")).fetchone()
    assert row is not None  # a count is a row
    return row[0] == COMMANDS
