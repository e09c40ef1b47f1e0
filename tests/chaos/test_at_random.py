"""Accidents at random, one after another, under load.

A short run belongs to every test run; `make chaos` makes it long: `CHAOS_SECONDS` and `CHAOS_SEED` tell how.
"""

from __future__ import annotations

import os
import random
import time
from statistics import median

import pytest
from rich.console import Console
from rich.table import Table

from datapunk.settings import Settings
from datapunk.worker import prepare
from tests.accounts.module import accounts
from tests.chaos.fleet import Fleet
from tests.chaos.history import History
from tests.chaos.load import under_load
from tests.chaos.toxiproxy import Toxiproxy
from tests.own_stack import Place

SECONDS = float(os.environ.get("CHAOS_SECONDS", "15"))
SEED = int(os.environ.get("CHAOS_SEED", time.time()))
ACCOUNTS = 8
SERVERS = ("broker_url", "database_url")


@pytest.mark.servers
@pytest.mark.timeout(2 * SECONDS + 300)  # what took so long to send takes long to check, too
async def test_nothing_is_lost_or_doubled_whatever_happens(
    place: Place, own_settings: Settings, toxiproxy: Toxiproxy
) -> None:
    print(f"CHAOS_SEED={SEED}")  # shown with a failure
    await prepare([accounts], own_settings)
    history = History(own_settings)
    await history.subscribe()
    lines = {server: toxiproxy.line_to(getattr(own_settings, server), server) for server in SERVERS}
    recoveries: dict[str, list[float]] = {}
    began = time.monotonic()
    async with Fleet(place, own_settings, lines, random.Random(SEED)) as fleet:
        async with under_load(history, ACCOUNTS) as load:
            while time.monotonic() - began < SECONDS:
                what = await fleet.accident()
                recoveries.setdefault(what, []).append(await load.progress())
        await history.check()
    Console(width=100).print(_summary(recoveries, sum(map(len, history.sent.values()))))


def _summary(recoveries: dict[str, list[float]], commands: int) -> Table:
    """What happened, and how long it took from its end until every account's commands took effect again."""
    table = Table("accident", title=f"{commands:,} commands, each once and in order; seed {SEED}")
    for heading in ("times", "recovery p50, s", "max, s"):
        table.add_column(heading, justify="right")
    everything = [seconds for each in recoveries.values() for seconds in each]
    for what, each in [*sorted(recoveries.items()), ("all", everything)]:
        table.add_row(what, str(len(each)), f"{median(each):.1f}", f"{max(each):.1f}")
    return table
