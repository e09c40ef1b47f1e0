"""The life of a dead letter, by the clock and by hand."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from temporalio.client import WorkflowHandle, WorkflowUpdateFailedError
from temporalio.service import RPCError

from actors.nexus.module import nexus
from datapunk.module import Module
from datapunk.settings import RetrySetting, Settings
from datapunk.testing import Platform, PlatformWithTimers
from datapunk.testing.platform import running_platform
from datapunk.testing.timers import carried, running_platform_with_timers
from schemas.nexus.commands import DiscardDeadLetter
from schemas.nexus.queries import DeadLetterPage, FindDeadLetters
from schemas.nexus.types import DeadLetterState, DeadLetterSummary
from tests.accounts.commands import Misbehave
from tests.accounts.module import accounts
from tests.raw import raw_client
from tests.working import eventually
from workflows.nexus.acts import Act, Edit
from workflows.nexus.dead_letter import DeadLetterWorkflow

pytestmark = pytest.mark.timeout(600)  # the first time the server is downloaded
HOUR, MOMENT = timedelta(hours=1), timedelta(minutes=1)


@pytest.fixture
def modules() -> list[Module]:
    return [accounts, nexus]


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Attempts that are hours apart: no test waits for them."""
    retries = {"handler_failed": RetrySetting(attempts=3, first_s=HOUR.total_seconds())}
    return settings.model_copy(update={"dead_letter_retries": retries})


async def letter(platform: Platform) -> DeadLetterSummary:
    """The only one there is."""

    async def look() -> DeadLetterSummary | None:
        page = await platform.client.ask(FindDeadLetters())
        assert isinstance(page, DeadLetterPage)
        return page.letters[0] if page.letters else None

    return await eventually(look, "a dead letter")


async def stands(platform: PlatformWithTimers, state: DeadLetterState, attempts: int) -> DeadLetterSummary:
    async def look() -> DeadLetterSummary | None:
        found = await letter(platform)
        return found if (found.state, found.attempts) == (state, attempts) else None

    return await eventually(look, f"{state} after {attempts} attempts")


def workflow_of(platform: PlatformWithTimers, id: UUID) -> WorkflowHandle[Any, Any]:
    return platform.workflow(DeadLetterWorkflow, str(id))


async def fail(platform: PlatformWithTimers) -> DeadLetterSummary:
    """A command whose handler fails, each time."""
    await platform.client.send(Misbehave(how="decide"), "a")
    return await carried_letter(platform)


async def deposit(platform: PlatformWithTimers, body: bytes) -> DeadLetterSummary:
    async with raw_client(platform.settings) as raw:
        await raw.deposit("a", 1, body=body)
    return await carried_letter(platform)


async def carried_letter(platform: PlatformWithTimers) -> DeadLetterSummary:
    """The only one there is, once its workflow is there, too."""
    found = await letter(platform)
    await carried(platform.settings, platform.bridges)
    return found


async def test_it_is_tried_again_with_growing_pauses_and_then_waits_for_a_person(
    platform_with_timers: PlatformWithTimers,
) -> None:
    platform = platform_with_timers
    await fail(platform)
    await stands(platform, DeadLetterState.Retrying, 0)
    for attempt, pause in enumerate((HOUR, 2 * HOUR, 4 * HOUR)):
        # A pause begins within the moment that was skipped past the last one.
        await platform.skip(pause - 3 * MOMENT)
        await stands(platform, DeadLetterState.Retrying, attempt)
        await platform.skip(4 * MOMENT)
        await stands(platform, DeadLetterState.Parked if attempt == 2 else DeadLetterState.Retrying, attempt + 1)
    await platform.skip(100 * HOUR)
    await stands(platform, DeadLetterState.Parked, 3)


async def test_a_person_discards_it_by_an_update_and_the_workflow_ends(
    platform_with_timers: PlatformWithTimers,
) -> None:
    found = await fail(platform_with_timers)
    handle = workflow_of(platform_with_timers, found.id)
    await handle.execute_update(DeadLetterWorkflow.discard_update, Act("ada", "a test"))
    assert (await handle.result()).state == "discarded"
    await stands(platform_with_timers, DeadLetterState.Discarded, 0)


async def test_a_person_mends_it_by_a_signal(platform_with_timers: PlatformWithTimers) -> None:
    found = await deposit(platform_with_timers, b'{"cents":"five"}')
    handle = workflow_of(platform_with_timers, found.id)
    await handle.signal(DeadLetterWorkflow.edit_signal, Edit("ada", body='{"cents":5}'))
    assert (await handle.result()).state == "resolved"
    await stands(platform_with_timers, DeadLetterState.Resolved, 1)


async def test_an_update_that_makes_no_sense_is_refused_with_the_reason(
    platform_with_timers: PlatformWithTimers,
) -> None:
    found = await deposit(platform_with_timers, b"?")
    handle = workflow_of(platform_with_timers, found.id)
    with pytest.raises(WorkflowUpdateFailedError) as refused:
        await handle.execute_update(DeadLetterWorkflow.redrive_update, Act(""))
    assert "say who" in str(refused.value.cause)
    with pytest.raises(WorkflowUpdateFailedError) as refused:
        await handle.execute_update(DeadLetterWorkflow.edit_update, Edit("ada"))
    assert "say what is to change" in str(refused.value.cause)
    await handle.execute_update(DeadLetterWorkflow.discard_update, Act("ada"))


async def test_what_is_done_elsewhere_ends_the_workflow_too(platform_with_timers: PlatformWithTimers) -> None:
    found = await fail(platform_with_timers)
    handle = workflow_of(platform_with_timers, found.id)
    await platform_with_timers.send(DiscardDeadLetter(by="ada"), str(found.id))
    assert (await handle.result()).state == "discarded"


async def test_letters_from_before_workflows_ran_get_theirs(
    modules: list[Module], settings: Settings, time_skipping_address: str
) -> None:
    async with running_platform(modules, settings) as platform:
        await platform.client.send(Misbehave(how="decide"), "a")
        found = await letter(platform)
    async with running_platform_with_timers(modules, settings, time_skipping_address) as later:
        handle = workflow_of(later, found.id)

        async def is_there() -> bool:
            try:
                return bool(await handle.describe())
            except RPCError:  # not yet
                return False

        await eventually(is_there, "its workflow")
        await handle.execute_update(DeadLetterWorkflow.discard_update, Act("ada"))
        assert (await handle.result()).state == "discarded"
