"""Whether a worker's memory stays flat: its resident set while it handles many commands, for twice as many actors
as it keeps. They come in turns, so that each is loaded anew for every command of its own, from one event more each
time. `BENCH_COMMANDS=1_000_000` handles a million.
"""

from __future__ import annotations

import asyncio

import psutil
import pytest
from rich.console import Console
from rich.table import Table

from datapunk.settings import Settings
from datapunk.stack.running import Endpoints
from datapunk.store.connection import connect
from datapunk.store.read import last_position
from datapunk.worker import prepare
from tests.bench.amounts import COMMANDS
from tests.bench.arena import arena
from tests.bench.filling import fill, forget_events
from tests.bench.trips.module import trips
from tests.bench.worker import WORKER
from tests.working import eventually, worker_process

SAMPLES = 20
WARM_UP = SAMPLES // 4  # samples until caches and pools are full
SLOWEST = 500  # commands a second, of a machine that is worth measuring on
MIB = 1024 * 1024


@pytest.mark.bench
@pytest.mark.servers
@pytest.mark.timeout(60 + COMMANDS // SLOWEST)
def test_memory_over_many_commands(durable_stack: Endpoints) -> None:
    with arena(durable_stack) as settings:
        sizes = asyncio.run(_sample(settings))
    table = Table("commands", "MiB", title=f"Memory of a worker over {COMMANDS:,} commands")
    for number, size in enumerate(sizes):
        if number % WARM_UP == 0 or number == SAMPLES:
            table.add_row(f"{number * COMMANDS // SAMPLES:,}", f"{size / MIB:.1f}")
    warm, last = sizes[WARM_UP] / MIB, sizes[-1] / MIB
    table.add_section()
    table.add_row("more than after a quarter", f"{last - warm:+.1f} ({last / warm - 1:+.1%})")
    Console(width=110).print(table)


async def _sample(settings: Settings) -> list[int]:
    """Bytes of the worker before the first command, and after each of the equal parts of all."""
    await prepare([trips], settings)
    part, sizes = COMMANDS // SAMPLES, list[int]()
    async with (
        await connect(settings.database_url) as conn,
        worker_process(settings, main=WORKER, arguments=["trips"]) as worker,
    ):
        watched = psutil.Process(worker.pid)

        async def is_started() -> bool:
            cursor = await conn.execute("select from leases where group_name = 'trips.shards' and owner is not null")
            return cursor.rowcount > 0

        await eventually(is_started, "the worker has shards")
        sizes.append(watched.memory_info().rss)
        for number in range(1, SAMPLES + 1):

            async def are_handled(total: int = number * part) -> bool:
                return await last_position(conn) >= total

            await fill(settings, part, actors=2 * settings.cached_actors, first=(number - 1) * part)
            await eventually(are_handled, "the commands are handled", 60 + part / SLOWEST)
            await forget_events(settings)
            sizes.append(watched.memory_info().rss)
    return sizes
