"""Whoever is killed, and whenever: every event arrives."""

from __future__ import annotations

import asyncio
import signal

import psutil
from starlette.responses import Response

from datapunk.client import Client
from datapunk.settings import Settings
from tests.command_line import CommandLine, Running
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
