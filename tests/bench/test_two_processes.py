"""What a second process adds: the same commands by one process and by two, from full queues to the last commit.

Servers and processes share the machine's cores: where there are hardly more of them than one process and its
servers keep busy, a second process can't add much.
"""

from __future__ import annotations

import asyncio
import statistics

import psutil
import pytest
from rich.console import Console
from rich.table import Table

from datapunk.stack.running import Endpoints
from tests.bench.amounts import ROUNDS
from tests.bench.arena import arena
from tests.bench.draining import PATIENCE_S, drain

COMMANDS = 40_000


@pytest.mark.bench
@pytest.mark.servers
@pytest.mark.timeout(ROUNDS * 2 * PATIENCE_S)
def test_two_processes_beside_one(durable_stack: Endpoints) -> None:
    rates: dict[int, list[float]] = {1: [], 2: []}
    for _ in range(ROUNDS):
        for processes, values in rates.items():
            with arena(durable_stack) as settings:
                values.append(COMMANDS / asyncio.run(drain(settings, COMMANDS, processes=processes)))
    one, two = (statistics.median(values) for values in rates.values())
    table = Table("one process", "two processes", "ratio", "cores", title="Commands/s until the last is committed")
    table.add_row(f"{one:,.0f}", f"{two:,.0f}", f"{two / one:.2f} ×", f"{len(psutil.Process().cpu_affinity())}")
    Console(width=110).print(table)
