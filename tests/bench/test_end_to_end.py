"""Commands a second from queue to queue: ours beside what people would write else, all durable, in one run.

Quorum queues, persistent messages, publisher confirms, fsync: on for everybody. Each contestant gets processes, a
virtual host and a database of its own; they take turns, and medians count.
"""

from __future__ import annotations

import statistics

import pytest
from rich.console import Console
from rich.table import Table

from datapunk.stack.running import Endpoints
from tests.bench.arena import run
from tests.bench.contest import read

ROUNDS = 3
# Who, and how many commands: each runs for some seconds.
CONTESTANTS = {
    "datapunk": ("tests.bench.engine", 40_000),
    "FastStream, the natural handler": ("tests.bench.faststream_handler", 6_000),
    "eventsourcing, without a broker": ("tests.bench.eventsourcing_library", 4_000),
}


@pytest.mark.bench
@pytest.mark.servers
@pytest.mark.timeout(900)
def test_commands_a_second_end_to_end(durable_stack: Endpoints) -> None:
    figures: dict[str, list[float]] = {name: [] for name in CONTESTANTS}
    for _ in range(ROUNDS):
        for name, (module, commands) in CONTESTANTS.items():
            figures[name].append(read(run(durable_stack, module, str(commands))))
    medians = {name: statistics.median(values) for name, values in figures.items()}
    table = Table("who", "commands/s", "of rounds", "datapunk is", title="Queue to queue, durable, one process")
    for name, median in medians.items():
        rounds = ", ".join(f"{value:,.0f}" for value in figures[name])
        table.add_row(name, f"{median:,.0f}", rounds, f"{medians['datapunk'] / median:.1f} ×")
    Console(width=110).print(table)
