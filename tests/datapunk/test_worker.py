"""What a process does when a part of it has a defect."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from datapunk.hook import Hook
from datapunk.messages.registry import Registry
from datapunk.settings import Settings
from datapunk.worker import contained
from tests.accounts.module import accounts
from tests.working import working


async def test_a_part_with_a_defect_is_tried_again_and_ends_nobody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datapunk.worker.DEFECT_FIRST_S", 0.01)
    stop, tries = asyncio.Event(), 0

    async def run(stop: asyncio.Event) -> None:
        nonlocal tries
        tries += 1
        if tries < 3:
            raise ExceptionGroup("several", [ZeroDivisionError("a defect")])
        stop.set()

    async with asyncio.timeout(20):
        await contained("lake.shards", run, stop)
    assert tries == 3


async def test_a_part_that_is_cancelled_is_not_tried_again() -> None:
    task = asyncio.create_task(contained("lake.shards", asyncio.Event.wait, asyncio.Event()))  # type: ignore[arg-type]
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_the_services_of_a_module_run_for_as_long_as_its_worker(settings: Settings) -> None:
    started, stopped = asyncio.Event(), asyncio.Event()

    class Watch:
        def __init__(self, settings: Settings, registry: Registry, at: Hook) -> None:
            pass

        async def run(self, stop: asyncio.Event) -> None:
            started.set()
            await stop.wait()
            stopped.set()

    async with asyncio.timeout(60), working([replace(accounts, services={"watch": Watch})], settings):
        await started.wait()
        assert not stopped.is_set()
    assert stopped.is_set()
