"""Faust on RabbitMQ Streams, beside Faust in memory and beside a consumer and a dict, taking turns in one run."""

from __future__ import annotations

import os
import statistics

import pytest
from rich.console import Console
from rich.table import Table

from datapunk.stack.running import Endpoints
from tests.bench.arena import run
from tests.bench.contest import read
from tests.bench.faust_count import CONTESTANTS

ROUNDS = int(os.environ.get("BENCH_ROUNDS", "3"))
EVENTS = int(os.environ.get("BENCH_FAUST_EVENTS", "100000"))


@pytest.mark.bench
@pytest.mark.servers
@pytest.mark.timeout(1200)
def test_events_counted_a_second(durable_stack: Endpoints, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATAPUNK_BROKER_STREAM_URL", durable_stack.variables["DATAPUNK_BROKER_STREAM_URL"])
    rates: dict[str, list[dict[str, float]]] = {name: [] for name in CONTESTANTS}
    for _ in range(ROUNDS):
        for name, found in rates.items():
            found.append(read(run(durable_stack, "tests.bench.faust_count", name, str(EVENTS))))
    medians = {name: {of: statistics.median(r[of] for r in found) for of in found[0]} for name, found in rates.items()}
    ours = medians["our transport"]["cpu"]
    table = Table("", "events/s a core", "events/s", "ours to this", title="Filter, and count in a table")
    for name, median in medians.items():
        table.add_row(name, f"{median['cpu']:,.0f}", f"{median['clock']:,.0f}", f"{ours / median['cpu']:.2f}")
    Console(width=120).print(table)
    assert all(rate > 0 for median in medians.values() for rate in median.values())
