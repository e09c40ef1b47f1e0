"""A pause that ends early when something happens."""

from __future__ import annotations

import asyncio


async def rest(seconds: float, *until: asyncio.Event) -> None:
    """Pause until one of these events is set, and no longer than so many seconds."""
    waiting = [asyncio.ensure_future(event.wait()) for event in until]
    try:
        await asyncio.wait(waiting, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for each in waiting:
            each.cancel()
