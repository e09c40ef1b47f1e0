"""Postgres and RabbitMQ killed under load, and the workers as well: what was confirmed holds."""

from __future__ import annotations

import asyncio

import pytest

from datapunk.settings import Settings
from datapunk.worker import prepare
from tests.accounts.module import accounts
from tests.chaos.history import History
from tests.own_stack import Place
from tests.working import eventually, worker_process

ACCOUNTS = 6
PROGRESS_WITHIN_S = 60.0


@pytest.mark.servers
@pytest.mark.parametrize("victims", [("postgres",), ("rabbitmq",), ("rabbitmq", "postgres", "postgres")])
async def test_servers_killed_under_load_lose_and_double_nothing(
    place: Place, own_settings: Settings, victims: tuple[str, ...]
) -> None:
    await prepare([accounts], own_settings)
    history = History(own_settings)
    await history.subscribe()
    is_over = asyncio.Event()

    async def keep_sending(account: str) -> None:
        while not is_over.is_set():
            await history.send(account, 20)

    async def progress() -> None:
        """More is confirmed, and more takes effect."""
        processed = await history.processed()
        wanted = {account: len(ids) + 40 for account, ids in history.sent.items()}

        async def is_further() -> bool:
            is_confirmed = all(len(history.sent[account]) >= count for account, count in wanted.items())
            return is_confirmed and await history.processed() > processed

        await eventually(is_further, "progress", PROGRESS_WITHIN_S)

    async with worker_process(own_settings) as first, worker_process(own_settings) as second:
        sending = [asyncio.create_task(keep_sending(str(account))) for account in range(ACCOUNTS)]
        await asyncio.sleep(0)
        await progress()
        for victim in victims:
            await asyncio.to_thread(place.kill, victim)
            await progress()
        first.kill()
        await progress()
        is_over.set()
        await asyncio.gather(*sending)
        await history.check()
        assert second.returncode is None, "a worker outlives its servers"
