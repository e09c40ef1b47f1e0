"""Workflows do what they did when their histories were recorded; what would break those under way is caught."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from temporalio.workflow import NondeterminismError

from datapunk.testing import replays
from tests.accounts.module import accounts
from tests.workflows.histories import FOLDER, RECORDED


@pytest.mark.parametrize("name", RECORDED)
async def test_workflows_do_what_they_did(name: str) -> None:
    await replays(RECORDED[name], FOLDER / name)


async def test_a_change_that_breaks_workflows_under_way_is_caught(tmp_path: Path) -> None:
    shutil.copy(FOLDER / "accounts" / "RewardFirstDeposit-rewarded.json", tmp_path)
    changed = replace(accounts, workflows="tests.accounts.changed_reward")
    with pytest.raises(NondeterminismError) as caught:
        await replays(changed, tmp_path)
    assert "RewardFirstDeposit-rewarded.json" in caught.value.__notes__[0]


async def test_a_workflow_without_a_history_is_told(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="no history of RewardFirstDeposit, TallyDeposits"):
        await replays(accounts, tmp_path)


async def test_a_history_of_another_workflow_is_told() -> None:
    with pytest.raises(AssertionError, match="GiveBonus-bonus"):
        await replays(accounts, FOLDER)
