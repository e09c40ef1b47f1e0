"""The broker runs short of memory or disk, and takes nothing from publishers: all wait, and go on."""

from __future__ import annotations

import asyncio

import pytest

from datapunk.health import BrokerCheck, Health
from datapunk.settings import Settings
from datapunk.stack.rabbitmq import DISK_FREE_LIMIT
from datapunk.worker import prepare
from tests.accounts.module import accounts
from tests.chaos.history import History
from tests.chaos.load import under_load
from tests.own_stack import Place
from tests.working import eventually, worker_process

ALARMS = {
    "memory": ("set_vm_memory_high_watermark", "0.0001", "0.4"),
    "disk": ("set_disk_free_limit", "900000GB", DISK_FREE_LIMIT),
}


@pytest.mark.servers
@pytest.mark.parametrize("short", ALARMS)
async def test_a_broker_short_of_memory_or_disk_loses_and_doubles_nothing(
    place: Place, own_settings: Settings, short: str
) -> None:
    setting, too_much, usual = ALARMS[short]
    health = Health("test", {"broker": BrokerCheck(own_settings)})

    async def is_blocked() -> bool:
        return "takes no messages" in ((await health.check("broker")).error or "")

    async def is_well() -> bool:
        return (await health.check("broker")).error is None

    await prepare([accounts], own_settings)
    history = History(own_settings)
    await history.subscribe()
    async with worker_process(own_settings) as worker, health.checking():
        async with under_load(history) as load:
            await load.progress()
            await asyncio.to_thread(place.rabbitmqctl, setting, too_much)
            await eventually(is_blocked, "readiness tells")
            confirmed = {account: len(ids) for account, ids in history.sent.items()}
            await asyncio.to_thread(place.rabbitmqctl, setting, usual)
            await eventually(is_well, "readiness is back")
            await load.progress()
            assert all(len(history.sent[account]) > count for account, count in confirmed.items())
        await history.check()
        assert worker.returncode is None, "a worker waits"
