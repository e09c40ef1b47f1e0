"""Commands a second from queue to queue: ours beside what people would write else, all durable, in one run.

Quorum queues, persistent messages, publisher confirms, fsync: on for everybody. Each contestant gets processes, a
virtual host and a database of its own; they take turns, and medians count.
"""

from __future__ import annotations

import statistics
from collections import defaultdict

import pytest
from rich.console import Console
from rich.table import Table

from datapunk.stack.running import Endpoints
from tests.bench.amounts import ROUNDS
from tests.bench.arena import run
from tests.bench.contest import read

CEILING = "RabbitMQ PerfTest"
# Who, and how many commands (of PerfTest: how many seconds): each runs for some seconds.
CONTESTANTS = {
    "datapunk": ("tests.bench.engine", 40_000),
    "FastStream, the natural handler": ("tests.bench.faststream_handler", 6_000),
    "dramatiq, the natural actor": ("tests.bench.dramatiq_actor", 4_000),
    "eventsourcing, without a broker": ("tests.bench.eventsourcing_library", 4_000),
    CEILING: ("tests.bench.broker_ceiling", 10),
}


@pytest.mark.bench
@pytest.mark.servers
@pytest.mark.timeout(300 * ROUNDS)
def test_commands_a_second_end_to_end(durable_stack: Endpoints) -> None:
    figures: dict[tuple[str, str], list[float]] = defaultdict(list)
    for _ in range(ROUNDS):
        for name, (module, amount) in CONTESTANTS.items():
            for what, rate in read(run(durable_stack, module, str(amount))).items():
                figures[name, what].append(rate)
    ours = statistics.median(figures["datapunk", "commands"])
    table = Table("who", "a second", "of rounds", "datapunk is", title="Queue to queue, durable, one process")
    for (name, what), values in figures.items():
        median = statistics.median(values)
        ratio = f"{ours / median:.0%} of it" if name == CEILING else f"{ours / median:.1f} ×"
        table.add_row(f"{name}: {what}", f"{median:,.0f}", ", ".join(f"{value:,.0f}" for value in values), ratio)
    Console(width=110).print(table)
