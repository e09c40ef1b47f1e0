"""Bulk work on dead letters: at its rate, paused and cancelled between, and once whatever is killed."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from temporalio import activity
from temporalio.client import Client as TemporalClient
from temporalio.worker import UnsandboxedWorkflowRunner, Worker, WorkflowRunner

from actors.nexus.module import nexus
from datapunk.client import Client
from datapunk.messages.message import Command, Query
from datapunk.messages.outcome import Outcome, Status
from datapunk.messages.registry import Registry
from datapunk.module import Module
from datapunk.projection import Recorded
from datapunk.settings import Settings
from datapunk.store.connection import connect as connect_to_store
from datapunk.temporal.connection import connect
from datapunk.temporal.sandbox import workflow_runner
from datapunk.temporal.sending import ASK, SEND, Address
from datapunk.testing import PlatformWithTimers
from datapunk.worker import prepare
from schemas.nexus.commands import CancelBulk, CompleteBulk, PauseBulk, ResumeBulk, StartBulk
from schemas.nexus.events import BulkStarted, DeadLetterRedriven
from schemas.nexus.queries import Bulk, DeadLetterCounts, GetBulk
from schemas.nexus.types import BulkAct, BulkState, BulkSummary, DeadLetterFilter, DeadLetterState
from tests.accounts.module import accounts
from tests.actors.nexus.letters import Letters
from tests.raw import raw_client
from tests.working import eventually, worker_process
from workflows.nexus import bulk as bulk_workflow
from workflows.nexus.bulk import REST, DeadLetterBulkWorkflow, Page, Progress, Rest

pytestmark = pytest.mark.timeout(600)
DEPOSITS = DeadLetterFilter(type="accounts.Deposit")
MINUTE = timedelta(minutes=1)
MOMENT = timedelta(seconds=5)


@pytest.fixture
def modules() -> list[Module]:
    return [accounts, nexus]


async def bulk_of(client: Client, id: str = "b") -> BulkSummary:
    found = await client.ask(GetBulk(bulk=id))
    assert isinstance(found, Bulk)
    return found.summary


async def bad_deposits(platform: PlatformWithTimers, count: int) -> list[UUID]:
    """So many dead letters, the oldest first."""
    async with raw_client(platform.settings) as raw:
        for _ in range(count):
            await raw.deposit("a", 1, body=b"?")
        found = await Letters(platform.client, raw).parked(count)
    return [each.id for each in reversed(found)]


async def states(platform: PlatformWithTimers, ids: list[UUID]) -> list[bool]:
    """Which are discarded."""
    async with raw_client(platform.settings) as raw:
        letters = Letters(platform.client, raw)
        return [(await letters.get(id)).summary.state is DeadLetterState.Discarded for id in ids]


async def done(platform: PlatformWithTimers, ids: list[UUID], count: int) -> None:
    """Wait until the oldest so many are discarded, and see that no other is."""

    async def look() -> bool:
        return sum(await states(platform, ids)) >= count

    await eventually(look, f"{count} are discarded")
    assert await states(platform, ids) == [True] * count + [False] * (len(ids) - count)


async def test_letters_are_told_at_the_rate_that_was_asked_for(platform_with_timers: PlatformWithTimers) -> None:
    platform = platform_with_timers
    ids = await bad_deposits(platform, 4)
    await platform.send(StartBulk(act=BulkAct.Discard, filter=DEPOSITS, rate=1 / 60, by="ada", why="test"), "b")
    await platform.skip(MOMENT)
    await done(platform, ids, 1)
    later = await bad_deposits(platform, 5)  # one more: it wasn't there when it was asked for
    await platform.skip(MINUTE + MOMENT)
    await done(platform, ids, 2)
    await platform.skip(10 * MINUTE)
    await done(platform, later, 4)
    assert await platform.workflow(DeadLetterBulkWorkflow, "b").result() == Progress(4, 4, 0)
    summary = await bulk_of(platform.client)
    assert (summary.state, summary.total, summary.done, summary.refused) == (BulkState.Completed, 4, 4, 0)
    assert (summary.by, summary.why, summary.filter) == ("ada", "test", DEPOSITS)


async def test_it_rests_while_it_is_paused_and_ends_when_it_is_cancelled(
    platform_with_timers: PlatformWithTimers,
) -> None:
    platform = platform_with_timers
    ids = await bad_deposits(platform, 4)
    await platform.send(StartBulk(act=BulkAct.Discard, filter=DEPOSITS, rate=1 / 60), "b")
    await platform.skip(MOMENT)
    await platform.send(PauseBulk(by="bob", why="lunch"), "b")
    await platform.skip(10 * MINUTE)
    await done(platform, ids, 1)
    assert (await bulk_of(platform.client)).message == "bob: lunch"
    await platform.send(ResumeBulk(), "b")
    await platform.skip(MOMENT)
    await done(platform, ids, 2)
    await platform.send(CancelBulk(by="bob"), "b")
    assert await platform.workflow(DeadLetterBulkWorkflow, "b").result() == Progress(4, 2, 0)
    await done(platform, ids, 2)

    async def is_told() -> bool:
        summary = await bulk_of(platform.client)
        return (summary.state, summary.done) == (BulkState.Cancelled, 2)

    await eventually(is_told, "what was done before counts")


LETTERS = 50  # more than are under way at a time


async def test_a_worker_killed_on_the_way_redrives_no_letter_twice(settings_with_temporal: Settings) -> None:
    settings = settings_with_temporal
    arguments = ["tests.accounts.module:accounts,actors.nexus.module:nexus", "workflows"]
    start = StartBulk(act=BulkAct.Redrive, filter=DEPOSITS)
    await prepare([accounts, nexus], settings)
    async with Letters.speaking(settings) as letters:
        async with worker_process(settings, arguments=arguments) as killed:
            for n in range(LETTERS):
                await letters.raw.deposit(f"a{n}", 1, body=b"?")
            await letters.parked(LETTERS)
            await letters.client.send(start, "b")

            await eventually(lambda: redrives(settings), "some are redriven")
            killed.kill()
        async with worker_process(settings, arguments=arguments):

            async def is_over() -> BulkSummary | None:
                summary = await bulk_of(letters.client)
                return summary if summary.state is BulkState.Completed else None

            summary = await eventually(is_over, "the rest", 180)
            assert (summary.total, summary.done, summary.refused) == (LETTERS, LETTERS, 0)
            assert await redrives(settings) == [1] * LETTERS


async def redrives(settings: Settings) -> list[int]:
    """How often each letter was redriven."""
    async with await connect_to_store(settings.database_url) as conn:
        cursor = await conn.execute(
            "select count(*) from events where type = %s group by stream", [DeadLetterRedriven.message_type]
        )
        return [count for (count,) in await cursor.fetchall()]


class Fakes:
    """Seven letters, two a page."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.sent: list[Command] = []

    @activity.defn
    async def find_letters(self, started: Recorded[BulkStarted], after: str | None) -> Page:
        first = int(after or 0)
        return Page([str(n) for n in range(first, min(first + 2, 7))], str(first + 2) if first + 2 < 7 else None)

    @activity.defn
    async def tell_letters(self, started: Recorded[BulkStarted], ids: list[str]) -> Progress:
        self.told += ids
        return Progress(done=len(ids))

    @activity.defn(name=SEND)
    async def send(self, command: Command, address: Address) -> Outcome:
        self.sent.append(command)
        return Outcome(status=Status.Accepted)

    @activity.defn(name=ASK)
    async def ask(self, query: Query, address: Address) -> DeadLetterCounts:
        return DeadLetterCounts(counts=[], total=7)


async def carried_out(settings: Settings, fakes: Fakes, runner: WorkflowRunner, memo: dict[str, Any]) -> TemporalClient:
    temporal = await connect(settings, Registry.of([nexus]))
    queue = uuid4().hex
    activities: list[Any] = [fakes.find_letters, fakes.tell_letters, fakes.send, fakes.ask]
    event = BulkStarted(act=BulkAct.Redrive, filter=DEPOSITS)
    started = Recorded(event, 1, "default", "b", 1, datetime.now(UTC))
    worker = Worker(
        temporal,
        task_queue=queue,
        workflows=[DeadLetterBulkWorkflow],
        activities=activities,
        workflow_runner=runner,
    )
    async with asyncio.timeout(60), worker:
        handle = await temporal.start_workflow(
            DeadLetterBulkWorkflow.run, started, id=queue, task_queue=queue, memo=memo
        )
        assert await handle.result() == Progress(7, 7, 0)
    assert fakes.sent[-1] == CompleteBulk(total=7, done=7, refused=0)
    return temporal


async def test_a_long_list_is_gone_through_in_several_runs(
    settings_with_temporal: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk_workflow, "SLICES_A_RUN", 1)
    fakes = Fakes()
    temporal = await carried_out(settings_with_temporal, fakes, UnsandboxedWorkflowRunner(), {})
    assert fakes.told == [str(n) for n in range(7)]
    assert (await temporal.count_workflows()).count == 4


async def test_a_run_goes_on_where_the_one_before_it_ended(settings_with_temporal: Settings) -> None:
    fakes = Fakes()
    rest = Rest(Progress(7, 4, 0), "4", 0.1, is_paused=False)
    await carried_out(settings_with_temporal, fakes, workflow_runner(Registry.of([nexus])), {REST: rest})
    assert fakes.told == ["4", "5", "6"]
