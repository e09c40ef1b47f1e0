"""A flood of letters that time may heal, on one workflow."""

from __future__ import annotations

from datetime import timedelta

import pytest

from actors.nexus.module import nexus
from datapunk.module import Module
from datapunk.settings import Settings
from datapunk.testing import PlatformWithTimers
from schemas.nexus.queries import CountDeadLetters, DeadLetterCounts
from schemas.nexus.types import DeadLetterState
from tests.accounts.commands import Misbehave
from tests.accounts.module import accounts
from tests.working import eventually
from workflows.nexus.crowd import GATHERING

pytestmark = pytest.mark.timeout(600)
CROWD, ALONE = 6, 2
DAY = timedelta(days=1)


@pytest.fixture
def modules() -> list[Module]:
    return [accounts, nexus]


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"dead_letter_crowd": ALONE})


async def counted(platform: PlatformWithTimers, count: int, **query: object) -> bool:
    counts = await platform.client.ask(CountDeadLetters(**query))  # type: ignore[arg-type]
    assert isinstance(counts, DeadLetterCounts)
    return counts.total == count


async def test_a_crowd_is_tried_again_by_one_workflow_until_its_attempts_are_spent(
    platform_with_timers: PlatformWithTimers,
) -> None:
    platform = platform_with_timers
    for n in range(ALONE + CROWD):
        await platform.client.send(Misbehave(how="decide"), f"a{n}")
    await eventually(lambda: counted(platform, CROWD, crowded=True), "the crowd")
    await platform.skip(GATHERING / 2)
    assert await counted(platform, CROWD, crowded=True, state=DeadLetterState.Retrying)
    for _ in range(3):
        await platform.skip(DAY)
    await eventually(lambda: counted(platform, ALONE + CROWD, state=DeadLetterState.Parked), "all wait for a person")
