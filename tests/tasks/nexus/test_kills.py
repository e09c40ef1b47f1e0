"""Whoever is killed, and whenever: every event arrives."""

from __future__ import annotations

import asyncio
import signal

import psutil
import pytest
from starlette.responses import Response

from datapunk.client import Client
from datapunk.settings import Settings
from tests.command_line import CommandLine, Running
from tests.management import Management
from tests.proxy import proxy_to
from tests.receiving import Received, Receiver
from tests.tasks.nexus.hooking import SECRET, Hooks, hooked_up, registry
from tests.working import eventually


async def process_of_tasks(running: Running) -> psutil.Process:
    """The process that performs tasks, beneath the command."""

    async def look() -> psutil.Process | None:
        children = psutil.Process(running.process.pid).children()
        return next((each for each in children if "datapunk.cli.tasks" in each.cmdline()), None)

    return await eventually(look, "there's a process of tasks")


async def test_a_delivery_whose_process_is_killed_meanwhile_is_made_again(
    datapunk: CommandLine, settings: Settings, receiver: Receiver
) -> None:
    is_killed = asyncio.Event()

    async def dawdle(_: Received) -> Response:
        if not is_killed.is_set():
            await is_killed.wait()
            return Response(status_code=500)  # to nobody
        return Response(status_code=204)

    receiver.answer = dawdle
    arguments = ("run", "nexus", "accounts", "--with", "tasks")
    async with datapunk.running(*arguments) as running, Client(settings, registry) as client:
        await running.until("worker_started")
        hooks = Hooks(client, settings)
        await hooks.subscribe(receiver.url)
        await hooks.deposit(2)
        await receiver.until_received(2)
        process = await process_of_tasks(running)
        process.send_signal(signal.SIGKILL)
        is_killed.set()
        await receiver.until_taken(2)
        assert SECRET not in "".join(running.lines)
        assert await running.stop() == 0


async def test_events_handed_over_by_a_dispatcher_that_was_killed_are_handed_over_again(
    datapunk: CommandLine, settings: Settings, receiver: Receiver
) -> None:
    async with (
        datapunk.running("run", "nexus", "accounts", DATAPUNK_CRASH_AT="after_hand_over") as running,
        Client(settings, registry) as client,
    ):
        await running.until("worker_started")
        hooks = Hooks(client, settings)
        outcomes = await hooks.deposit(5)
        await hooks.subscribe(receiver.url, after=0)
        assert await running.process.wait() == -signal.SIGKILL
    async with hooked_up(settings):
        await receiver.until_taken(5)
        await receiver.until_received(10)  # once for each that was handed over twice
    positions = {int(each.event["position"]) for each in receiver.taken}
    assert positions == {outcome.position for outcome in outcomes}


async def test_while_redis_is_away_deliveries_wait_and_that_counts_as_no_attempt(
    settings: Settings, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATAPUNK_WEBHOOKS_ATTEMPTS", "1")
    async with proxy_to(settings.redis_url) as proxy:
        settings = settings.model_copy(update={"redis_url": proxy.url})
        async with hooked_up(settings) as hooks:
            await hooks.subscribe(receiver.url)
            await hooks.deposit(1)
            await hooks.until(delivered=1)
            await proxy.disconnect()
            await hooks.deposit(2)
            await proxy.connect()
            await receiver.until_taken(3)
            await hooks.until(delivered=3, failed=0, dead=0)


async def test_when_the_broker_closes_all_connections_every_event_arrives(
    settings: Settings, receiver: Receiver
) -> None:
    async with hooked_up(settings) as hooks:
        await hooks.deposit(100)
        await hooks.subscribe(receiver.url, after=0)
        await receiver.until_received(1)
        Management.of(settings.broker_url).kill_all_connections()
        await receiver.until_taken(100)
