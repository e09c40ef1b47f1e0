"""A worker that freezes, is taken for dead, and wakes: two processes believe that they own the same shards."""

from __future__ import annotations

import signal

from datapunk.settings import Settings
from datapunk.worker import prepare
from tests.accounts.module import accounts
from tests.chaos.history import History
from tests.chaos.load import under_load
from tests.chaos.owners import owned_by
from tests.working import worker_process

ROUNDS = 3


async def test_a_zombie_that_wakes_loses_and_doubles_nothing(settings: Settings) -> None:
    await prepare([accounts], settings)
    history = History(settings)
    await history.subscribe()

    async with worker_process(settings) as zombie, worker_process(settings):
        async with under_load(history):
            for _ in range(ROUNDS):
                await owned_by(2, settings)
                zombie.send_signal(signal.SIGSTOP)
                await owned_by(1, settings)  # the frozen one counts as dead
                zombie.send_signal(signal.SIGCONT)
        await history.check()
        assert zombie.returncode is None, "a worker that was taken for dead starts over"
