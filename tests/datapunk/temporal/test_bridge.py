"""Events start and signal workflows, each once; workflows send commands, each once."""

from __future__ import annotations

import asyncio

import pytest
from temporalio.client import Client as TemporalClient
from temporalio.client import WorkflowHandle

from datapunk.messages.registry import Registry
from datapunk.module import Module
from datapunk.settings import Settings
from datapunk.temporal.calling import workflow_id
from datapunk.temporal.connection import connect
from datapunk.testing.platform import Platform
from tests.accounts.commands import Deposit, OpenAccount
from tests.accounts.module import accounts
from tests.accounts.workflows.reward import REWARD, RewardFirstDeposit
from tests.working import eventually


@pytest.fixture
def modules() -> list[Module]:
    return [accounts]


@pytest.fixture
async def temporal(settings_with_temporal: Settings) -> TemporalClient:
    return await connect(settings_with_temporal, Registry.of([accounts]))


def reward_of(temporal: TemporalClient, account: str) -> WorkflowHandle[RewardFirstDeposit, int]:
    return temporal.get_workflow_handle_for(
        RewardFirstDeposit.run, workflow_id("RewardFirstDeposit", "default", account)
    )


async def test_events_start_and_signal_a_workflow_that_sends_a_command_and_asks_a_query(
    platform_with_workflows: Platform, temporal: TemporalClient
) -> None:
    await platform_with_workflows.send(OpenAccount(owner="Ann"), "1")
    await platform_with_workflows.send(Deposit(cents=100), "1")
    async with asyncio.timeout(60):
        await eventually(lambda: _is_there(temporal, "1"), "the workflow is there")
        assert await reward_of(temporal, "1").result() == 100 + REWARD


async def _is_there(temporal: TemporalClient, account: str) -> bool:
    return [each async for each in temporal.list_workflows(f"DatapunkActor = 'accounts.account/{account}'")] != []
