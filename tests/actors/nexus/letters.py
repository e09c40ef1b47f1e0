"""Nexus at work beside accounts, for tests of dead letters."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from actors.nexus.module import nexus
from datapunk.client import Client
from datapunk.errors import QueryFailed
from datapunk.messages.registry import Registry
from datapunk.settings import Settings
from datapunk.testing.platform import running_platform
from schemas.nexus.queries import (
    CountDeadLetters,
    DeadLetterCounts,
    DeadLetterFound,
    DeadLetterPage,
    FindDeadLetters,
    GetDeadLetter,
)
from schemas.nexus.types import DeadLetterState, DeadLetterSummary
from tests.accounts.module import accounts
from tests.raw import RawClient, raw_client
from tests.working import eventually

MODULES = [accounts, nexus]


@dataclass
class Letters:
    """Sends bad messages, and looks at what becomes of them."""

    client: Client
    raw: RawClient

    async def find(self, **query: Any) -> list[DeadLetterSummary]:
        """All that meet a query."""
        found: list[DeadLetterSummary] = []
        after = None
        while True:
            page = await self.client.ask(FindDeadLetters(**{"limit": 1000, "after": after, **query}))
            assert isinstance(page, DeadLetterPage)
            found += page.letters
            after = page.next
            if after is None:
                return found

    async def parked(self, count: int = 1, **query: Any) -> list[DeadLetterSummary]:
        """Wait until so many are there."""

        async def look() -> list[DeadLetterSummary] | None:
            try:
                found = await self.find(**query)
            except QueryFailed:  # the worker is about to make the tables
                return None
            return found if len(found) >= count else None

        return await eventually(look, f"{count} dead letters")

    async def reaches(self, id: UUID, *states: DeadLetterState) -> DeadLetterFound:
        """Wait until one stands so."""

        async def look() -> DeadLetterFound | None:
            found = await self.get(id)
            return found if found.summary.state in states else None

        return await eventually(look, f"dead letter {id} is {states}")

    async def get(self, id: UUID) -> DeadLetterFound:
        """One, whole."""
        found = await self.client.ask(GetDeadLetter(id=id))
        assert isinstance(found, DeadLetterFound)
        return found

    async def counts(self, **query: Any) -> DeadLetterCounts:
        """Grouped."""
        counts = await self.client.ask(CountDeadLetters(**query))
        assert isinstance(counts, DeadLetterCounts)
        return counts

    @classmethod
    @asynccontextmanager
    async def speaking(cls, settings: Settings) -> AsyncIterator[Letters]:
        """Clients, and no worker."""
        async with Client(settings, Registry.of(MODULES)) as client, raw_client(settings) as raw:
            yield cls(client, raw)


@asynccontextmanager
async def keeping(settings: Settings) -> AsyncIterator[Letters]:
    """A worker that runs accounts and Nexus, and clients."""
    async with running_platform(MODULES, settings) as platform, raw_client(settings) as raw:
        yield Letters(platform.client, raw)
