"""Clients that keep sending while something goes wrong."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from datapunk.ending import end
from tests.chaos.history import History
from tests.working import eventually

ACCOUNTS, AT_ONCE = 6, 20  # who sends, and how many commands a connection carries
PROGRESS_WITHIN_S = 90.0


@dataclass
class Load:
    """Made by `under_load`."""

    history: History

    async def progress(self) -> float:
        """Every account has more confirmed, and all that was confirmed by then takes effect; in how many seconds."""
        began = time.monotonic()
        wanted = {account: len(ids) + AT_ONCE for account, ids in self.history.sent.items()}

        async def is_further() -> bool:
            sent = self.history.sent
            if any(len(sent[account]) < count for account, count in wanted.items()):
                return False
            ids = [id for account, count in wanted.items() for id in sent[account][:count]]
            return await self.history.processed(ids) == len(ids)

        await eventually(is_further, "every account goes on", PROGRESS_WITHIN_S)
        return time.monotonic() - began


@asynccontextmanager
async def under_load(history: History, accounts: int = ACCOUNTS) -> AsyncGenerator[Load]:
    """So many accounts get commands, one after another, for as long as the block lasts."""
    is_over = asyncio.Event()
    names = [str(number) for number in range(accounts)]
    history.sent |= {name: [] for name in names}

    async def keep_sending(account: str) -> None:
        while not is_over.is_set():
            await history.send(account, AT_ONCE)

    sending = [asyncio.create_task(keep_sending(name)) for name in names]
    try:
        yield Load(history)
        is_over.set()
        await asyncio.gather(*sending)
    finally:
        await end(sending)
