"""`datapunk workflows`: keeps what workflows did."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from temporalio.client import WorkflowHandle
from temporalio.service import RPCError

from datapunk.messages.registry import Registry
from datapunk.module import Module
from datapunk.settings import Settings
from datapunk.temporal.calling import workflow_id
from datapunk.temporal.connection import connect
from datapunk.testing import replays
from datapunk.testing.platform import Platform
from tests.accounts.commands import Deposit, OpenAccount
from tests.accounts.module import accounts
from tests.command_line import CommandLine
from tests.working import eventually

bonuses = replace(accounts, workflows="tests.accounts.bonus")


@pytest.fixture
def modules() -> list[Module]:
    return [bonuses]


@pytest.fixture
def datapunk(settings_with_temporal: Settings, tmp_path: Path) -> CommandLine:
    return CommandLine(settings_with_temporal, tmp_path)


async def test_what_is_recorded_can_be_replayed(
    platform_with_workflows: Platform, datapunk: CommandLine, settings_with_temporal: Settings, tmp_path: Path
) -> None:
    await platform_with_workflows.send(OpenAccount(owner="Ann"), "1")
    await platform_with_workflows.send(Deposit(cents=100), "1")
    id = workflow_id("GiveBonus", "default", "1")
    handle = (await connect(settings_with_temporal, Registry.of([accounts]))).get_workflow_handle(id)
    assert await eventually(lambda: _result(handle), "the workflow has ended") == "bonus"
    ended = await datapunk("workflows", "record", id, "histories/GiveBonus.json")
    assert ended.status == 0, ended.err
    await replays(bonuses, tmp_path / "histories")


async def _result(handle: WorkflowHandle[Any, Any]) -> str | None:
    try:
        return await handle.result()
    except RPCError:  # it isn't there yet
        return None


async def test_an_unknown_workflow_is_told(datapunk: CommandLine) -> None:
    ended = await datapunk("workflows", "record", "GiveBonus/default/none", "none.json")
    assert (ended.status, ended.out) == (1, "")
    assert "there is no workflow 'GiveBonus/default/none'" in ended.err
