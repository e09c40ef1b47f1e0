"""Postgres and RabbitMQ killed under load, and the workers as well: what was confirmed holds."""

from __future__ import annotations

import asyncio

import pytest

from datapunk.settings import Settings
from datapunk.worker import prepare
from tests.accounts.module import accounts
from tests.chaos.history import History
from tests.chaos.load import under_load
from tests.own_stack import Place
from tests.working import worker_process


@pytest.mark.servers
@pytest.mark.parametrize("victims", [("postgres",), ("rabbitmq",), ("rabbitmq", "postgres", "postgres")])
async def test_servers_killed_under_load_lose_and_double_nothing(
    place: Place, own_settings: Settings, victims: tuple[str, ...]
) -> None:
    await prepare([accounts], own_settings)
    history = History(own_settings)
    await history.subscribe()
    async with worker_process(own_settings) as first, worker_process(own_settings) as second:
        async with under_load(history) as load:
            await load.progress()
            for victim in victims:
                await asyncio.to_thread(place.kill, victim)
                await load.progress()
            first.kill()
            await load.progress()
        await history.check()
        assert second.returncode is None, "a worker outlives its servers"
