"""A workflow's timers, on Temporal's test server: time passes when the test says so."""

from __future__ import annotations

from datetime import timedelta

import pytest

from datapunk.module import Module
from datapunk.testing import PlatformWithTimers
from tests.accounts.commands import Deposit, OpenAccount
from tests.accounts.module import accounts
from tests.accounts.workflows.reward import REWARD, SOON, RewardFirstDeposit

pytestmark = pytest.mark.timeout(600)  # the first time the server is downloaded
MOMENT = timedelta(minutes=1)


@pytest.fixture
def modules() -> list[Module]:
    return [accounts]


async def test_a_deposit_within_a_day_is_rewarded(platform_with_timers: PlatformWithTimers) -> None:
    await platform_with_timers.send(OpenAccount(owner="Ann"), "1")
    await platform_with_timers.skip(SOON - MOMENT)
    await platform_with_timers.send(Deposit(cents=100), "1")
    assert await platform_with_timers.workflow(RewardFirstDeposit, "1").result() == 100 + REWARD


async def test_a_deposit_after_a_day_is_not_rewarded(platform_with_timers: PlatformWithTimers) -> None:
    await platform_with_timers.send(OpenAccount(owner="Ann"), "1")
    await platform_with_timers.skip(SOON + MOMENT)
    await platform_with_timers.send(Deposit(cents=100), "1")
    assert await platform_with_timers.workflow(RewardFirstDeposit, "1").result() == 0


async def test_each_tenant_has_a_workflow_of_its_own(platform_with_timers: PlatformWithTimers) -> None:
    for tenant in ("ours", "theirs"):
        await platform_with_timers.send(OpenAccount(owner="Ann"), "1", tenant=tenant)
    await platform_with_timers.send(Deposit(cents=100), "1", tenant="ours")
    await platform_with_timers.skip(SOON + MOMENT)
    results = [
        await platform_with_timers.workflow(RewardFirstDeposit, "1", tenant=tenant).result()
        for tenant in ("ours", "theirs")
    ]
    assert results == [100 + REWARD, 0]
