"""Webhooks as their users meet them: commands and queries over the broker, requests at a receiver."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from uuid import UUID

from actors.nexus.module import nexus
from datapunk.cli.tasks import perform
from datapunk.client import Client
from datapunk.messages.message import Command
from datapunk.messages.outcome import Outcome, Status
from datapunk.messages.registry import Registry
from datapunk.settings import Settings
from datapunk.store.connection import connect
from datapunk.store.vault import Vault
from datapunk.testing.platform import running_platform
from schemas.nexus.commands import Subscribe
from schemas.nexus.queries import GetSubscription, Subscription
from schemas.nexus.types import SubscriptionSummary
from tests.accounts.commands import Deposit
from tests.accounts.module import accounts
from tests.working import DEADLINE_S, eventually

MODULES = [nexus, accounts]
registry = Registry.of(MODULES)
SECRET = "whsec_" + b64encode(b"s" * 32).decode()


async def keep_secret(settings: Settings, secret: str = SECRET, tenant: str = "default") -> UUID:
    """Put a secret into the vault; returns its id."""
    async with await connect(settings.database_url) as conn:
        return await Vault.of(settings).put(conn, tenant, secret)


@dataclass
class Hooks:
    """Made by `hooked_up`."""

    client: Client
    settings: Settings
    position: int = 0

    async def send(self, command: Command, id: str, tenant: str | None = None) -> Outcome:
        """Send a command that is accepted."""
        outcome = await self.client.send(command, id, tenant=tenant, timeout_s=DEADLINE_S)
        assert outcome.status is Status.Accepted, outcome
        self.position = max(self.position, outcome.position)
        return outcome

    async def subscribe(
        self,
        url: str,
        id: str = "hook",
        pattern: str = "accounts.#",
        after: int | None = None,
        tenant: str = "default",
    ) -> Outcome:
        """Subscribe, with a secret that is in the vault."""
        secret = await keep_secret(self.settings, tenant=tenant)
        command = Subscribe(url=url, pattern=pattern, secret=secret, after=after)
        return await self.send(command, id, tenant)

    async def deposit(self, count: int, account: str = "a", tenant: str | None = None) -> list[Outcome]:
        """So many events."""
        return [await self.send(Deposit(cents=1), account, tenant) for _ in range(count)]

    async def summary(self, id: str = "hook") -> SubscriptionSummary:
        """How a subscription fares, after all that was sent."""
        query = GetSubscription(subscription=id)
        answer = await self.client.ask(query, after_position=self.position, timeout_s=DEADLINE_S)
        assert isinstance(answer, Subscription)
        return answer.summary

    async def until(self, id: str = "hook", **expected: object) -> SubscriptionSummary:
        """Wait until a subscription fares so."""

        async def look() -> SubscriptionSummary | None:
            summary = await self.summary(id)
            return summary if all(getattr(summary, name) == value for name, value in expected.items()) else None

        return await eventually(look, f"{id}: {expected}")


@asynccontextmanager
async def performing(settings: Settings) -> AsyncIterator[None]:
    """The tasks of Nexus are performed in this process."""
    stop = asyncio.Event()
    running = asyncio.create_task(perform(MODULES, settings, stop))
    try:
        yield
    finally:
        stop.set()
        await asyncio.wait_for(running, DEADLINE_S)


@asynccontextmanager
async def dispatching(settings: Settings) -> AsyncIterator[Hooks]:
    """A worker, whose dispatcher hands events over; nobody delivers them."""
    async with running_platform(MODULES, settings) as platform:
        yield Hooks(platform.client, settings)


@asynccontextmanager
async def hooked_up(settings: Settings) -> AsyncIterator[Hooks]:
    """All of it."""
    async with dispatching(settings) as hooks, performing(settings):
        yield hooks
