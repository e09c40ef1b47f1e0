"""Records the histories of dead letters that test_replays.py replays: `make histories`."""

from __future__ import annotations

from datetime import timedelta

import pytest

from datapunk.settings import Settings
from datapunk.temporal.calling import task_queue
from datapunk.temporal.histories import write_history
from datapunk.testing.timers import running_platform_with_timers
from schemas.nexus.commands import PauseBulk, ResumeBulk, StartBulk
from schemas.nexus.events import DeadLetterParked
from schemas.nexus.queries import DeadLetterPage, FindDeadLetters
from schemas.nexus.types import BulkAct, DeadLetterState
from tests.accounts.commands import Misbehave
from tests.workflows.histories import FOLDER
from tests.workflows.nexus.test_bulk import DEPOSITS, bad_deposits
from tests.workflows.nexus.test_crowd import counted
from tests.workflows.nexus.test_dead_letter import HOUR, MOMENT, fail, modules, settings, stands, workflow_of
from tests.working import eventually
from workflows.nexus.acts import Edit
from workflows.nexus.bulk import DeadLetterBulkWorkflow
from workflows.nexus.crowd import DeadLetterCrowdWorkflow
from workflows.nexus.dead_letter import DeadLetterWorkflow
from workflows.nexus.retention import ForgetDeadLetters

__all__ = ["modules", "settings"]  # fixtures

pytestmark = pytest.mark.timeout(600)


async def test_record_a_life(modules, settings: Settings, time_skipping_address: str) -> None:
    """With an attempt by itself, an edit by a signal, and one by an update that mends it."""
    async with running_platform_with_timers(modules, settings, time_skipping_address) as platform:
        found = await fail(platform)
        await platform.skip(HOUR + MOMENT)
        await stands(platform, DeadLetterState.Retrying, 1)
        handle = workflow_of(platform, found.id)
        await handle.signal(DeadLetterWorkflow.edit_signal, Edit("ada", type="accounts.Deposit", redrive=False))
        await stands(platform, DeadLetterState.Parked, 1)
        mended = Edit("ada", "mended", '{"cents":5}', type="accounts.Deposit")
        await handle.execute_update(DeadLetterWorkflow.edit_update, mended)
        await handle.result()
        write_history(await handle.fetch_history(), FOLDER / "nexus" / "DeadLetterWorkflow-mended.json")


async def test_record_a_crowd(modules, settings: Settings, time_skipping_address: str) -> None:
    """Until its attempts are spent."""
    few = settings.model_copy(update={"dead_letter_crowd": 1})
    async with running_platform_with_timers(modules, few, time_skipping_address) as platform:
        for n in range(3):
            await platform.client.send(Misbehave(how="decide"), f"a{n}")
        await eventually(lambda: counted(platform, 2, crowded=True), "the crowd")
        for _ in range(4):
            await platform.skip(timedelta(days=1))
        page = await platform.client.ask(FindDeadLetters(crowded=True))
        assert isinstance(page, DeadLetterPage)
        parked = [(await platform.events(f"nexus.dead_letter/{each.id}"))[0] for each in page.letters]
        (minute,) = [event.crowd for event in parked if isinstance(event, DeadLetterParked) and event.crowd]
        handle = platform.workflow(DeadLetterCrowdWorkflow, f"accounts:accounts.Misbehave:handler_failed/{minute}")
        await handle.result()
        write_history(await handle.fetch_history(), FOLDER / "nexus" / "DeadLetterCrowdWorkflow-spent.json")


async def test_record_bulk_work(modules, settings: Settings, time_skipping_address: str) -> None:
    """At a rate, and paused on the way."""
    async with running_platform_with_timers(modules, settings, time_skipping_address) as platform:
        await bad_deposits(platform, 3)
        await platform.send(StartBulk(act=BulkAct.Discard, filter=DEPOSITS, rate=1 / 60, by="ada"), "b")
        await platform.skip(MOMENT)
        await platform.send(PauseBulk(by="ada"), "b")
        await platform.skip(HOUR)
        await platform.send(ResumeBulk(by="ada"), "b")
        await platform.skip(HOUR)
        handle = platform.workflow(DeadLetterBulkWorkflow, "b")
        await handle.result()
        write_history(await handle.fetch_history(), FOLDER / "nexus" / "DeadLetterBulkWorkflow-completed.json")


async def test_record_a_night(modules, settings: Settings, time_skipping_address: str) -> None:
    """In which there is nothing to forget."""
    async with running_platform_with_timers(modules, settings, time_skipping_address) as platform:
        handle = await platform.temporal.start_workflow(
            ForgetDeadLetters.run, id="nexus.forget_dead_letters", task_queue=task_queue("nexus")
        )
        await handle.result()
        write_history(await handle.fetch_history(), FOLDER / "nexus" / "ForgetDeadLetters-nothing.json")
