"""What a process does when a part of it has a defect."""

from __future__ import annotations

import asyncio

import pytest

from datapunk.worker import contained


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
