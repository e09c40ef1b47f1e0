"""How tasks are ended for sure."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

AGAIN_S = 0.5  # between two cancellations of a task that goes on


async def end(tasks: Iterable[asyncio.Task[Any]]) -> list[Any]:
    """Cancel tasks until they have ended.

    Once isn't enough: before Python 3.12 `asyncio.wait_for`, which psycopg waits with, swallows a cancellation that
    comes in the same moment as what it waits for (python/cpython#86296).

    Returns:
        What each returned or raised, as `asyncio.gather` tells it.
    """
    ended = list(tasks)
    while under_way := {task for task in ended if not task.done()}:
        for task in under_way:
            task.cancel()
        await asyncio.wait(under_way, timeout=AGAIN_S)
    return await asyncio.gather(*ended, return_exceptions=True)
