"""Records the histories that test_replays.py replays: `make histories`. Old ones stay true: keep them, too, and say
by another name what's new, while workflows from before a change may still be under way.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

from actors.lake.module import lake
from datapunk.messages.message import Command
from datapunk.messages.registry import Registry
from datapunk.settings import Settings
from datapunk.temporal.calling import task_queue, workflow_id
from datapunk.temporal.connection import connect
from datapunk.temporal.discovery import find_workflows
from datapunk.temporal.histories import write_history
from datapunk.testing.platform import running_platform
from datapunk.testing.timers import running_platform_with_timers
from schemas.lake.commands import AppendRecords, CreateDataset, IngestFile, SetRetention
from schemas.lake.queries import GetDataset, GetIngestion
from tests.accounts.bonus import STINGY
from tests.accounts.commands import Deposit, OpenAccount
from tests.workflows.histories import FOLDER, RECORDED
from tests.working import DEADLINE_S, eventually

DAY = {"type": "int", "logicalType": "date"}
LATER = timedelta(days=2)
ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Course:
    """One way that a workflow may take.

    Attributes:
        module: the folder of its histories.
        workflow: its class at Temporal.
        name: what's particular about it.
        commands: that are sent, to the same account.
    """

    module: str
    workflow: str
    name: str
    commands: Sequence[Command]


COURSES = [
    Course("accounts", "RewardFirstDeposit", "rewarded", [OpenAccount(owner="Ann"), Deposit(cents=100)]),
    Course("accounts", "RewardFirstDeposit", "too_late", [OpenAccount(owner="Ann")]),
    Course("accounts", "TallyDeposits", "three", [Deposit(cents=cents) for cents in (1, 2, 3)]),
    Course("bonuses", "GiveBonus", "bonus", [Deposit(cents=100), OpenAccount(owner="Ann")]),
    Course("bonuses", "GiveBonus", "rejected", [OpenAccount(owner=STINGY), Deposit(cents=100)]),
    Course("bonuses", "GiveBonus", "too_late", [OpenAccount(owner="Ann")]),
]


@pytest.mark.timeout(600)  # the first time the server is downloaded
@pytest.mark.parametrize("course", COURSES, ids=lambda course: f"{course.workflow}-{course.name}")
async def test_record(course: Course, settings: Settings, time_skipping_address: str) -> None:
    module = RECORDED[course.module]
    async with running_platform_with_timers([module], settings, time_skipping_address) as platform:
        for command in course.commands:
            await platform.send(command, "1")
        handle = platform.workflow(find_workflows(module).workflows[course.workflow], "1")
        await platform.skip(LATER)
        await handle.result()
        write_history(await handle.fetch_history(), FOLDER / course.module / f"{course.workflow}-{course.name}.json")


@pytest.mark.parametrize(("name", "text"), [("loaded", "id,name\n1,Oslo\n"), ("failed", "id,name\n1,Oslo,x\n")])
async def test_record_an_ingestion(
    name: str, text: str, settings_with_temporal: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "towns.csv").write_text(text)
    monkeypatch.setenv("DATAPUNK_LAKE_FOLDERS", json.dumps([str(tmp_path)]))
    temporal = await connect(settings_with_temporal, Registry.of([lake]))
    handle = temporal.get_workflow_handle(workflow_id("IngestFileWorkflow", "default", "1"))
    async with running_platform([lake], settings_with_temporal, with_workflows=True) as platform:
        await platform.send(IngestFile(dataset="towns", source="towns.csv"), "1")

        async def is_over() -> bool:
            return (await platform.ask(GetIngestion(ingestion="1"))).state.value in ("COMPLETED", "FAILED")

        await eventually(is_over, "the ingestion is over")
        async with asyncio.timeout(DEADLINE_S):
            await handle.result()
        file = FOLDER / "lake" / f"IngestFileWorkflow-{name}.json"
        write_history(await handle.fetch_history(), file)
        file.write_text(file.read_text().replace(f"{ROOT}/", ""))  # of where it was recorded nothing is told


async def test_record_an_expiry(settings_with_temporal: Settings) -> None:
    temporal = await connect(settings_with_temporal, Registry.of([lake]))
    async with running_platform([lake], settings_with_temporal, with_workflows=True) as platform:
        schema = json.dumps({"type": "record", "name": "R", "fields": [{"name": "day", "type": DAY}]})
        await platform.send(CreateDataset(name="Days", schema=schema, partitions=1), "days")
        await platform.send(SetRetention(days=1, field="day"), "days")
        await platform.send(AppendRecords(records='[{"day": 1}]'), "days:0")
        await platform.ask(GetDataset(dataset="days"))
        handle = await temporal.start_workflow("ExpireRecordsWorkflow", id="expiry", task_queue=task_queue("lake"))
        async with asyncio.timeout(DEADLINE_S):
            assert await handle.result() == 1
        write_history(await handle.fetch_history(), FOLDER / "lake" / "ExpireRecordsWorkflow-one.json")
