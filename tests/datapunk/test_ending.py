"""Ending tasks, even those that miss a cancellation."""

from __future__ import annotations

import asyncio

from datapunk.ending import end


async def test_a_task_that_swallows_a_cancellation_is_ended_all_the_same() -> None:
    swallowed = 0

    async def stubborn() -> None:
        nonlocal swallowed
        while True:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                if swallowed == 2:
                    raise
                swallowed += 1

    async def fails() -> None:
        raise ValueError("as told")

    tasks = [asyncio.create_task(stubborn()), asyncio.create_task(fails())]
    await asyncio.sleep(0)
    outcomes = await asyncio.wait_for(end(tasks), 30)
    assert swallowed == 2
    assert [type(outcome) for outcome in outcomes] == [asyncio.CancelledError, ValueError]
