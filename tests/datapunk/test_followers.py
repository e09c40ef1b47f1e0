"""Followers that can't go on: the others of their process, and whoever could have them, aren't held up."""

from __future__ import annotations

import asyncio

import pytest

import datapunk.followers
from datapunk.followers import Followers
from datapunk.projector import Projector
from datapunk.settings import Settings
from datapunk.store.append import append
from datapunk.store.connection import connect
from datapunk.worker import prepare
from tests.accounts.balances import Balances
from tests.accounts.module import accounts
from tests.events import REGISTRY, deposits
from tests.projecting import until_applied
from tests.proxy import proxy_to
from tests.working import DEADLINE_S

GROUP, NAME = "accounts.projections", "accounts.balances"


async def test_a_projector_whose_connection_falls_silent_begins_anew_on_another(settings: Settings) -> None:
    await prepare([accounts], settings)
    async with proxy_to(settings.database_url) as proxy, await connect(settings.database_url) as conn:
        far = settings.model_copy(update={"database_url": proxy.url, "heartbeat_s": 0.1, "member_timeout_s": 1.0})
        followers = Followers(GROUP, far, [], {NAME: lambda: Projector(Balances(), REGISTRY, far)})
        running = asyncio.create_task(followers.run(stop := asyncio.Event()))
        await until_applied(conn, (await append(conn, deposits(1))).positions[-1])
        proxy.forget_connections()
        await until_applied(conn, (await append(conn, deposits(1, first=2))).positions[-1])
        stop.set()
        await asyncio.wait_for(running, DEADLINE_S)


class Endless:
    """Doesn't do what it's told."""

    def __init__(self) -> None:
        self.runs = asyncio.Event()

    async def run(self, stop: asyncio.Event) -> None:
        """Never ends by itself."""
        self.runs.set()
        await asyncio.Event().wait()

    def wake(self) -> None:
        """It doesn't sleep."""


async def test_a_follower_that_does_not_stop_is_ended(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datapunk.followers, "GRACE_S", 0.1)
    await prepare([accounts], settings)
    endless = Endless()
    running = asyncio.create_task(Followers(GROUP, settings, [], {NAME: lambda: endless}).run(stop := asyncio.Event()))
    await endless.runs.wait()
    stop.set()
    await asyncio.wait_for(running, DEADLINE_S)
