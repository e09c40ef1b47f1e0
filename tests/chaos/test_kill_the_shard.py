"""kill -9 at the engine's weak points: nothing is lost, nothing happens twice."""

from __future__ import annotations

import asyncio
import signal

import pytest

from datapunk.settings import Settings
from datapunk.worker import prepare
from tests.accounts.module import accounts
from tests.chaos.history import History
from tests.working import worker_process

COMMANDS, ACCOUNTS = 12, 5


@pytest.mark.parametrize("point", ["before_commit", "after_commit", "after_publish", "after_confirm", "before_ack"])
@pytest.mark.parametrize("batch", [1, 2])
async def test_a_worker_killed_at_any_point_loses_and_doubles_nothing(
    settings: Settings, point: str, batch: int
) -> None:
    await prepare([accounts], settings)
    history = History(settings)
    await history.subscribe()
    await _send(history)
    async with worker_process(settings, crash_at=f"{point}:{batch}") as doomed:
        while doomed.returncode is None and batch == 2:  # a second batch comes for sure only with more commands
            await _send(history)
        assert await asyncio.wait_for(doomed.wait(), 30) == -signal.SIGKILL
    async with worker_process(settings):
        await history.check()


async def _send(history: History) -> None:
    await asyncio.gather(*(history.send(str(account), COMMANDS) for account in range(ACCOUNTS)))
