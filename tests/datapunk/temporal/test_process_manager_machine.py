"""A process manager against a model, through everything that may go wrong: it acts once, and as it should."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import rule
from temporalio.client import Client as TemporalClient
from temporalio.worker import Worker

from datapunk.client import Client
from datapunk.errors import ConnectionLost
from datapunk.messages.codec import AVRO_BINARY
from datapunk.messages.message import Command
from datapunk.messages.outcome import Outcome
from datapunk.messages.registry import Registry
from datapunk.settings import Settings
from datapunk.store.connection import connect
from datapunk.store.read import read_stream, safe_position
from datapunk.temporal import host
from datapunk.temporal.bridge import Bridge, follower_name
from datapunk.temporal.calling import workflow_id
from datapunk.temporal.connection import connect as connect_to_temporal
from datapunk.temporal.discovery import find_workflows
from datapunk.testing.platform import working
from datapunk.testing.timers import carried, skip
from tests.accounts.bonus import BONUS, CONSOLATION, CONSOLED, PATIENCE, STINGY
from tests.accounts.commands import Deposit, OpenAccount
from tests.accounts.events import Deposited
from tests.accounts.module import accounts
from tests.state_machine import MachineOnServers, run_on_servers

MODULE = replace(accounts, workflows="tests.accounts.bonus")
REGISTRY = Registry.of([MODULE])
WORKFLOW = "GiveBonus"
FOUND = find_workflows(MODULE)
BRIDGE = follower_name(MODULE.name, WORKFLOW)
ACCOUNTS = ("a", "b", "c")
MINUTES = (3, 6, 12)  # no sum of them is the process manager's patience
faults = st.lists(st.sampled_from(["before", "after"]), max_size=4)
plans: list[str] = []  # what goes wrong with the next commands that workflows send


class Unreliable(Client):
    """Fails as planned, before a command is sent, or after it took effect."""

    async def send(self, command: Command, actor_id: str, **more: Any) -> Outcome:
        fault = plans.pop(0) if plans else ""
        if fault == "before":
            raise ConnectionLost("as planned")
        outcome = await super().send(command, actor_id, **more)
        if fault == "after":
            raise ConnectionLost("as planned")
        return outcome


@dataclass
class Expected:
    """What becomes of an account."""

    has_opened: bool = False
    has_deposited: bool = False
    is_stingy: bool = False
    since: int | None = None  # minute of its first event
    result: str = ""
    deposits: list[int] = field(default_factory=list[int])

    def happened(self, minute: int) -> None:
        """An event."""
        if self.since is None:
            self.since = minute
        if not self.result and self.has_opened and self.has_deposited:
            self.result = "consolation" if self.is_stingy else "bonus"
            if self.result == "bonus":
                self.deposits.append(BONUS)

    def passed(self, minute: int) -> None:
        """It's this late."""
        if self.since is not None and not self.result and timedelta(minutes=minute - self.since) > PATIENCE:
            self.result = "consolation"


class Carrying:
    """A bridge at work."""

    def __init__(self, settings: Settings) -> None:
        bridge = Bridge(MODULE.name, WORKFLOW, FOUND.reactions[WORKFLOW], REGISTRY, settings)
        self._stop = asyncio.Event()
        self._running = asyncio.create_task(bridge.run(self._stop))

    async def end(self) -> None:
        self._stop.set()
        await self._running


class Bonuses(MachineOnServers):
    """Each account gets its bonus or its consolation, once, whatever goes wrong."""

    temporal: TemporalClient

    @classmethod
    async def enter(cls, stack: AsyncExitStack) -> None:
        await stack.enter_async_context(working([MODULE], cls.settings))
        cls.client = await stack.enter_async_context(Client(cls.settings, REGISTRY))
        cls.conn = await stack.enter_async_context(await connect(cls.settings.database_url))
        cls.temporal = await connect_to_temporal(cls.settings, REGISTRY)
        await host.enter_bridges(cls.conn, MODULE, FOUND)
        stop = asyncio.Event()
        running = asyncio.create_task(host.WorkflowHost(MODULE, FOUND, REGISTRY, cls.settings).run(stop))
        stack.push_async_callback(asyncio.wait_for, running, 60)
        stack.callback(stop.set)

    def __init__(self) -> None:
        super().__init__()
        self.minute = 0
        self.round = uuid4().hex[:8]
        self.accounts = {f"{self.round}-{name}": Expected() for name in ACCOUNTS}
        self.began = self.run(safe_position(self.conn))
        self.carrying = self.run(self._carry())

    @rule(which=st.sampled_from(ACCOUNTS), is_stingy=st.booleans())
    def open(self, which: str, is_stingy: bool) -> None:
        id, account = self._account(which)
        self.run(self.client.send(OpenAccount(owner=STINGY if is_stingy else "Ann"), id))
        if not account.has_opened:  # a second time is rejected
            account.has_opened, account.is_stingy = True, is_stingy
            account.happened(self.minute)

    @rule(which=st.sampled_from(ACCOUNTS))
    def deposit(self, which: str) -> None:
        id, account = self._account(which)
        self.run(self.client.send(Deposit(cents=100), id))
        account.has_deposited = True
        account.deposits.append(100)
        account.happened(self.minute)

    @rule(minutes=st.sampled_from(MINUTES))
    def pass_time(self, minutes: int) -> None:
        self.run(carried(self.settings, [BRIDGE]))
        self.run(skip(self.settings.temporal_address, timedelta(minutes=minutes)))
        self.minute += minutes
        for account in self.accounts.values():
            account.passed(self.minute)

    @rule(planned=faults)
    def fail(self, planned: list[str]) -> None:
        plans[:] = planned

    @rule(is_again=st.booleans())
    def restart(self, is_again: bool) -> None:
        """The bridge; perhaps it had not remembered what it carried."""
        self.run(self.carrying.end())
        if is_again:
            back = "update followers set position = %s where name = %s"
            self.run(self.conn.execute(back, (self.began, BRIDGE)))
        self.carrying = self.run(self._carry())

    def teardown(self) -> None:
        self.pass_time(30)
        for id, account in self.accounts.items():
            if account.since is not None:
                assert self.run(asyncio.wait_for(self._result(id), 60)) == account.result
            assert Counter(self.run(self._deposits(id))) == Counter(account.deposits)
            consoled = [CONSOLATION] if account.result == "consolation" else []
            assert self.run(self._deposits(CONSOLED + id)) == consoled
        self.run(self.carrying.end())

    def _account(self, which: str) -> tuple[str, Expected]:
        id = f"{self.round}-{which}"
        return id, self.accounts[id]

    async def _carry(self) -> Carrying:  # on the event loop
        return Carrying(self.settings)

    async def _result(self, id: str) -> str:
        handle = self.temporal.get_workflow_handle(workflow_id(WORKFLOW, self.settings.default_tenant, id))
        return await handle.result()

    async def _deposits(self, id: str) -> list[int]:
        events = await read_stream(
            self.conn, self.settings.default_tenant, f"accounts.account/{id}", from_version=1, limit=1000
        )
        return [
            REGISTRY.decode(each.type, each.data, AVRO_BINARY, each.schema).cents
            for each in events
            if each.type == Deposited.message_type
        ]


@pytest.mark.timeout(600)
def test_a_process_manager_acts_once_and_as_it_should(
    settings: Settings, time_skipping_address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host, "Client", Unreliable)
    # As if each step came to another worker, that must go through all the steps before. (Real restarts this server
    # doesn't bear: a task that it gave to a worker which was about to leave is lost.)
    monkeypatch.setattr(host, "Worker", partial(Worker, max_cached_workflows=0))
    namespace = f"test-{uuid4().hex[:12]}"
    there = {"temporal_address": time_skipping_address, "temporal_namespace": namespace}
    run_on_servers(Bonuses, settings.model_copy(update=there), usually=15, steps=12)
