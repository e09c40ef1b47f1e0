"""A worker that freezes, is taken for dead, and wakes: two processes believe that they own the same shards."""

from __future__ import annotations

import asyncio
import signal

from datapunk.settings import Settings
from datapunk.store.connection import connect
from datapunk.worker import prepare
from tests.accounts.module import accounts
from tests.chaos.history import History
from tests.working import eventually, worker_process

ACCOUNTS, ROUNDS = 6, 3


async def test_a_zombie_that_wakes_loses_and_doubles_nothing(settings: Settings) -> None:
    await prepare([accounts], settings)
    history = History(settings)
    await history.subscribe()
    is_over = asyncio.Event()

    async def keep_sending(account: str) -> None:
        while not is_over.is_set():
            await history.send(account, 20)

    async def owners() -> int:
        async with await connect(settings.database_url) as conn:
            cursor = await conn.execute(
                "select count(distinct owner) from leases where group_name = 'accounts.shards' and owner is not null"
            )
            row = await cursor.fetchone()
            return int(row[0]) if row else 0

    async def shared() -> bool:
        return await owners() == 2

    async def taken_over() -> bool:
        return await owners() == 1

    async with worker_process(settings) as zombie, worker_process(settings):
        sending = [asyncio.create_task(keep_sending(str(account))) for account in range(ACCOUNTS)]
        for _ in range(ROUNDS):
            await eventually(shared, "both own shards")
            zombie.send_signal(signal.SIGSTOP)
            await eventually(taken_over, "the frozen one counts as dead")
            zombie.send_signal(signal.SIGCONT)
        is_over.set()
        await asyncio.gather(*sending)
        await history.check()
        assert zombie.returncode is None, "a worker that was taken for dead starts over"
