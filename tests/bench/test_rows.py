"""Rows a second through the whole platform: records sent to Lake in batches, until a query sees the last of them.

The year's flights, rows of 19 columns of which three are indexed, sent as the demo does; what a client makes of its
files isn't counted. Client, worker and servers share the machine. `BENCH_ROWS` says how many rows.
"""

from __future__ import annotations

import asyncio
import statistics
from itertools import islice
from time import perf_counter

import msgspec
import pytest
from rich.console import Console
from rich.table import Table as Grid
from uuid_utils.compat import uuid7

from datapunk.client import Client, Sending
from datapunk.messages.outcome import Status
from datapunk.module import find_modules
from datapunk.settings import Settings
from datapunk.stack.running import Endpoints
from datapunk.worker import prepare
from examples.flights.demo import RECORDS, WINDOW
from examples.flights.tables import TABLES
from schemas.lake.commands import AppendRecords, CreateDataset
from schemas.lake.queries import Dataset, FindRecords, GetDataset
from tests.bench.amounts import ROUNDS, ROWS
from tests.bench.arena import arena
from tests.bench.worker import WORKER
from tests.working import worker_process

FLIGHTS = next(table for table in TABLES if table.name == "flights")
DATASET = FLIGHTS.name
PATIENCE_S = 300


@pytest.mark.bench
@pytest.mark.servers
@pytest.mark.timeout(ROUNDS * PATIENCE_S)
def test_rows_a_second_from_publish_to_query(durable_stack: Endpoints) -> None:
    sendings, rounds = _sendings(), list[tuple[float, float]]()
    for _ in range(ROUNDS):
        with arena(durable_stack) as settings:
            rounds.append(asyncio.run(_measure(settings, sendings)))
    accepted, queryable = (ROWS / statistics.median(times) for times in zip(*rounds, strict=True))
    grid = Grid(
        "confirmed as durable", "queryable", "of rounds", title=f"{ROWS:,} flights, {RECORDS:,} a command, rows/s"
    )
    grid.add_row(f"{accepted:,.0f}", f"{queryable:,.0f}", ", ".join(f"{ROWS / each:,.0f}" for _, each in rounds))
    Console(width=110).print(grid)


def _sendings() -> list[Sending]:
    """The flights as commands, each for one partition."""
    records, commands = islice(FLIGHTS.records(), ROWS), list[Sending]()
    while batch := list(islice(records, RECORDS)):
        partition = len(commands) % FLIGHTS.partitions
        body = msgspec.json.encode(batch).decode()
        commands.append(Sending(AppendRecords(records=body), f"{DATASET}:{partition}", uuid7()))
    return commands


async def _measure(settings: Settings, sendings: list[Sending]) -> tuple[float, float]:
    """Seconds until the last command's outcome is there, and until a query answers with its rows in sight."""
    registry, _ = await prepare(list(find_modules(["lake"]).values()), settings)
    async with (
        worker_process(settings, main=WORKER, arguments=["lake"]),
        Client(settings, registry) as client,
    ):
        create = CreateDataset(
            name=FLIGHTS.title, schema=FLIGHTS.schema, partitions=FLIGHTS.partitions, indexes=list(FLIGHTS.indexes)
        )
        position = (await client.send(create, DATASET)).position
        await client.ask(FindRecords(dataset=DATASET), after_position=position, timeout_s=PATIENCE_S)
        began = perf_counter()
        async for _, outcome in client.send_many(sendings, window=WINDOW):
            assert outcome.status is Status.Accepted, outcome.message
            position = max(position, outcome.position)
        accepted_s = perf_counter() - began
        await client.ask(FindRecords(dataset=DATASET, limit=1), after_position=position, timeout_s=PATIENCE_S)
        queryable_s = perf_counter() - began
        dataset = await client.ask(GetDataset(dataset=DATASET), after_position=position)
        assert isinstance(dataset, Dataset)
        assert dataset.summary.records == ROWS
    return accepted_s, queryable_s
