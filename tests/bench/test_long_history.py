"""How long it takes to bring an actor of many events into memory: from its last snapshot, and from its first event."""

from __future__ import annotations

import asyncio
import statistics
from time import perf_counter
from types import SimpleNamespace
from typing import Any

import pytest
from psycopg import AsyncConnection
from rich.console import Console
from rich.table import Table

from datapunk.actor_cache import ActorCache
from datapunk.settings import Settings
from datapunk.stack.running import Endpoints
from datapunk.state import state_codec
from datapunk.store.append import append
from datapunk.store.connection import connect
from datapunk.store.events import SnapshotData
from datapunk.store.migrate import migrate
from tests.accounts.account import Account
from tests.accounts.module import accounts
from tests.bench.arena import arena
from tests.bench.growing import A_STREAM, grow
from tests.events import REGISTRY, batch, deposits

EVENTS, AN_APPEND = 100_000, 1000
OTHERS = 500_000  # events of other actors, as a store has them
EVERY = Settings.model_fields["snapshot_every"].default
ADDRESS = ("default", "accounts.account/a")
WITH, WITHOUT = 50, 3  # loads with and without a snapshot; medians count


@pytest.mark.bench
@pytest.mark.servers
@pytest.mark.timeout(300)
def test_loading_an_actor_of_many_events(durable_stack: Endpoints) -> None:
    with arena(durable_stack) as settings:
        without, with_snapshot = asyncio.run(_measure(settings.database_url))
    table = Table("with a snapshot", "without", title=f"Loading an actor of {EVENTS:,} events, milliseconds")
    table.add_row(f"{with_snapshot:.1f}", f"{without:,.0f}")
    Console(width=110).print(table)


async def _measure(url: str) -> tuple[float, float]:
    """Milliseconds without a snapshot, and with one that is as old as it gets."""
    await migrate(url)
    async with await connect(url) as conn:
        for start in range(0, EVENTS, AN_APPEND):
            await append(conn, deposits(AN_APPEND, first=start + 1))
        await grow(conn, 0, OTHERS // A_STREAM)
        without = statistics.median([await _load_ms(conn) for _ in range(WITHOUT)])
        await append(conn, batch(snapshots=[_snapshot(EVENTS - EVERY + 1)]))
        return without, statistics.median([await _load_ms(conn) for _ in range(WITH)])


async def _load_ms(conn: AsyncConnection[Any]) -> float:
    """Milliseconds that a process takes which doesn't know the actor."""
    cache = ActorCache(accounts, REGISTRY, capacity=1, snapshot_every=EVERY)
    incoming: Any = SimpleNamespace(address=ADDRESS, actor=Account, envelope=SimpleNamespace(actor_id="a"))
    began = perf_counter()
    actor = (await cache.take(conn, [incoming]))[ADDRESS]
    took_ms = (perf_counter() - began) * 1000
    assert isinstance(actor, Account)
    assert (actor.version, actor.balance) == (EVENTS, EVENTS)
    return took_ms


def _snapshot(version: int) -> SnapshotData:
    account, codec = Account("a"), state_codec(Account)
    account.balance = version
    return SnapshotData(*ADDRESS, version, codec.version, codec.encode(account))
