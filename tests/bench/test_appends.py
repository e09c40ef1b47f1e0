"""Whether appends stay as fast as the store grows: batches like the engine's, at one table size after the other.

Tables are filled in bulk with what they'd hold by then: streams of a hundred events, and an inbox row an event. Then
each batch goes to actors picked at random, so that any head may be touched, and any page of the index of streams of
the last partition; commands have ids in the order of time (UUID 7, as `datapunk.client` gives them), or random ones
(UUID 4), which touch any page of the inbox's index, too. The first change of a page after a checkpoint writes all of it
to the log: hence the column.

`BENCH_EVENTS=50_000_000` goes on to fifty million, which takes 30 GB of disk.
"""

from __future__ import annotations

import asyncio
import math
import random
import statistics
from collections import defaultdict
from collections.abc import Callable
from time import perf_counter
from typing import Any
from uuid import UUID, uuid4

import pytest
from psycopg import AsyncConnection
from rich.console import Console
from rich.table import Table
from uuid_utils.compat import uuid7

from datapunk.settings import Settings
from datapunk.stack.running import Endpoints
from datapunk.store.append import AppendBatch, append
from datapunk.store.connection import connect
from datapunk.store.events import EventData, InboxEntry
from datapunk.store.migrate import migrate
from tests.bench.amounts import EVENTS, ROUNDS
from tests.bench.arena import arena
from tests.bench.growing import A_STREAM, DATA, REPLY, grow
from tests.events import OWNER

STEPS = (1_000_000, 2_000_000, 5_000_000, 10_000_000, 20_000_000, 50_000_000)
SIZES = sorted({min(STEPS[0], EVENTS // 2), *(size for size in STEPS if size < EVENTS), EVENTS})
IDS = {"ids in order": uuid7, "random ids": uuid4}
BATCH = Settings.model_fields["batch_commands"].default
WARM_UP, BATCHES = 20, 100
FILLED_A_SECOND = 5_000  # at least, of a machine that is worth measuring on


@pytest.mark.bench
@pytest.mark.servers
@pytest.mark.timeout(600 + EVENTS // FILLED_A_SECOND)
def test_appends_at_growing_tables(durable_stack: Endpoints) -> None:
    with arena(durable_stack) as settings:
        rates = asyncio.run(_measure(settings.database_url))
    columns = (column for ids in IDS for column in (f"events/s, {ids}", "log bytes/event"))
    table = Table("events in the store", *columns, title=f"Appending batches of {BATCH}")
    for size in SIZES:
        table.add_row(f"{size:,}", *(f"{value:,.0f}" for ids in IDS for value in rates[ids][size]))
    table.add_section()
    slopes = (column for ids in IDS for column in (f"{_slope(rates[ids]):+.1%}", ""))
    table.add_row("ten times as many", *slopes)
    Console(width=110).print(table)


def _slope(rates: dict[int, tuple[float, float]]) -> float:
    """By least squares, what a tenfold size adds to the rate, as a share of the rate at first."""
    speeds = [speed for speed, _ in rates.values()]
    return statistics.linear_regression([math.log10(size) for size in rates], speeds).slope / speeds[0]


async def _measure(url: str) -> dict[str, dict[int, tuple[float, float]]]:
    """Of each way to give ids and each size: events a second and bytes of log an event, the medians of some rounds."""
    await migrate(url)
    rates: dict[str, dict[int, tuple[float, float]]] = {ids: {} for ids in IDS}
    async with await connect(url, writer=True) as conn, await connect(url) as filling:
        appender, filled = Appender(conn), 0
        for size in SIZES:
            await grow(filling, filled // A_STREAM, size // A_STREAM)
            filled = size
            for ids, new_id in IDS.items():
                await filling.execute("checkpoint")
                await appender.append(WARM_UP, size // A_STREAM, new_id)
                rounds = [await appender.append(BATCHES, size // A_STREAM, new_id) for _ in range(ROUNDS)]
                speed, log_bytes = (statistics.median(values) for values in zip(*rounds, strict=True))
                rates[ids][size] = speed, log_bytes
    return rates


class Appender:
    """Appends to actors picked at random, as the engine does: with inbox rows, and clearing its last outbox rows."""

    def __init__(self, conn: AsyncConnection[Any]) -> None:
        self._conn = conn
        self._versions: dict[int, int] = defaultdict(lambda: A_STREAM)
        self._outbox: list[int] = []
        self._random = random.Random(1)

    async def append(self, batches: int, streams: int, new_id: Callable[[], UUID]) -> tuple[float, float]:
        """Append so many batches.

        Args:
            batches: how many.
            streams: how many there are, from the first.
            new_id: a command's id.

        Returns:
            Events a second, and bytes of write-ahead log an event.
        """
        events, took_s, log_began = 0, 0.0, await self._log_bytes()
        for _ in range(batches):
            batch = self._batch(streams, new_id)
            began = perf_counter()
            self._outbox = (await append(self._conn, batch)).outbox
            took_s += perf_counter() - began
            events += len(batch.events)
        return events / took_s, (await self._log_bytes() - log_began) / events

    async def _log_bytes(self) -> int:
        row = await (await self._conn.execute("select pg_current_wal_lsn() - '0/0'")).fetchone()
        assert row is not None  # a function returns a row
        return int(row[0])

    def _batch(self, streams: int, new_id: Callable[[], UUID]) -> AppendBatch:
        events: list[EventData] = []
        inbox: list[InboxEntry] = []
        for number in self._random.sample(range(1, streams + 1), min(BATCH, streams)):
            self._versions[number] += 1
            version, stream, command = self._versions[number], f"trips.aircraft/{number:09}", new_id()
            metadata = {"correlation-id": str(command)}
            events.append(
                EventData(
                    "default", stream, version, "trips.TripRecorded", uuid4(), "fingerprint", DATA, command, metadata
                )
            )
            inbox.append(InboxEntry(command, "default", "trips.RecordTrip", stream, b"h" * 16, REPLY, version, version))
        shards = [number % 8 for number in range(len(events))]
        return AppendBatch("trips", OWNER, events, shards, inbox=inbox, confirmed=self._outbox)
