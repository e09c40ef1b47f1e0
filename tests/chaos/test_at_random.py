"""Accidents at random, one after another, under load.

A short run belongs to every test run; `make chaos` makes it long: `CHAOS_SECONDS` and `CHAOS_SEED` tell how.
"""

from __future__ import annotations

import os
import random
import time

import pytest
from rich.console import Console

from datapunk.settings import Settings
from datapunk.worker import prepare
from tests.accounts.module import accounts
from tests.chaos.fleet import Fleet
from tests.chaos.history import History
from tests.chaos.load import under_load
from tests.own_stack import Place

SECONDS = float(os.environ.get("CHAOS_SECONDS", "15"))
SEED = int(os.environ.get("CHAOS_SEED", time.time()))
ACCOUNTS = 8


@pytest.mark.servers
@pytest.mark.timeout(SECONDS + 300)
async def test_nothing_is_lost_or_doubled_whatever_happens(place: Place, own_settings: Settings) -> None:
    print(f"CHAOS_SEED={SEED}")  # shown with a failure
    await prepare([accounts], own_settings)
    history = History(own_settings)
    await history.subscribe()
    began = time.monotonic()
    async with Fleet(place, own_settings, random.Random(SEED)) as fleet:
        async with under_load(history, ACCOUNTS) as load:
            while time.monotonic() - began < SECONDS:
                await fleet.accident()
                await load.progress()
        await history.check()
    sent = sum(map(len, history.sent.values()))
    Console().print(f"{sent:,} commands, each once and in order; accidents: {fleet.accidents}; seed {SEED}")
