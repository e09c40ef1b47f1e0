"""How fast a projection catches up: a handler with a statement an event, and one with a statement a batch."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from time import perf_counter

import pytest
from rich.console import Console
from rich.table import Table

from datapunk import Recorded, Rows, projects
from datapunk.generation import active
from datapunk.settings import Settings
from datapunk.stack.running import Endpoints
from datapunk.store.append import append
from datapunk.store.connection import connect
from datapunk.store.migrate import migrate
from tests.accounts.balances import Balances
from tests.accounts.events import Deposited
from tests.events import REGISTRY, deposits

EVENTS, AN_APPEND, ACCOUNTS = 200_000, 1000, 200
BATCH = Settings.model_fields["projection_batch"].default


class Summed(Balances):
    """Balances, a statement a batch."""

    name = "summed"

    @projects(Deposited)
    async def deposited(self, rows: Rows, events: Sequence[Recorded[Deposited]]) -> None:
        """Add up in Postgres."""
        await rows.execute(
            """
            insert into balances
            select tenant, account, sum(cents), count(*)
            from unnest(%b::text[], %b::text[], %b::bigint[]) as deposited (tenant, account, cents)
            group by tenant, account
            on conflict (tenant, account) do update
            set cents = balances.cents + excluded.cents, deposits = balances.deposits + excluded.deposits
            """,
            (
                [recorded.tenant for recorded in events],
                [recorded.actor for recorded in events],
                [recorded.event.cents for recorded in events],
            ),
        )

    async def create(self, rows: Rows) -> None:
        """The same tables."""
        await Balances().create(rows)


@pytest.mark.bench
@pytest.mark.servers
@pytest.mark.timeout(300)
def test_from_the_first_event_to_the_last(durable_stack: Endpoints) -> None:
    speeds = asyncio.run(_measure(durable_stack.variables["DATAPUNK_DATABASE_URL"]))
    table = Table("a statement an event", "a statement a batch", title=f"Catching up over {EVENTS:,} events, events/s")
    table.add_row(*(f"{speed:,.0f}" for speed in speeds))
    Console(width=110).print(table)


async def _measure(url: str) -> list[float]:
    speeds: list[float] = []
    await migrate(url)
    async with await connect(url) as conn:
        for number in range(EVENTS // AN_APPEND):
            earlier = number // ACCOUNTS * AN_APPEND
            await append(conn, deposits(AN_APPEND, account=f"bench-{number % ACCOUNTS}", first=earlier + 1))
        for projection in (Balances(), Summed()):
            generation, applied = await active(conn, projection), 0
            start = perf_counter()
            while True:
                generation, events = await generation.apply(conn, REGISTRY, BATCH)
                if not events:
                    break
                applied += len(events)
            speeds.append(applied / (perf_counter() - start))
            assert applied == EVENTS
    return speeds
