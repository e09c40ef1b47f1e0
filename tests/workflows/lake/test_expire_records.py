"""Datasets that keep their records for a time only: by the schedule, and from the command line."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from uuid import uuid4

import pytest
from temporalio import activity
from temporalio.client import Client as TemporalClient
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from actors.lake.module import lake
from datapunk.messages.registry import Registry
from datapunk.module import Module
from datapunk.settings import Settings
from datapunk.temporal.connection import connect
from datapunk.testing.platform import Platform
from schemas.lake.commands import AppendRecords, CreateDataset
from schemas.lake.queries import Dataset, FindRecords, GetDataset, RecordPage
from tests.projections.lake.running import Lake
from tests.workflows.lake.conftest import Datapunk
from tests.working import eventually
from workflows.lake import expire_records
from workflows.lake.expire_records import Due, ExpireRecordsWorkflow, Place

DAY = {"type": "int", "logicalType": "date"}
SCHEMA = json.dumps({"type": "record", "name": "R", "fields": [{"name": "day", "type": DAY}]})


@pytest.fixture
def modules() -> list[Module]:
    return [lake]


@pytest.fixture
async def temporal(settings_with_temporal: Settings) -> TemporalClient:
    return await connect(settings_with_temporal, Registry.of([lake]))


async def test_the_schedule_lets_old_records_go(
    platform_with_workflows: Platform, temporal: TemporalClient, datapunk: Datapunk
) -> None:
    platform = platform_with_workflows
    today = (datetime.now(UTC) - datetime(1970, 1, 1, tzinfo=UTC)).days
    await platform.send(CreateDataset(name="Days", schema=SCHEMA, partitions=1), "days")
    records = json.dumps([{"day": today - ago} for ago in (0, 6, 8, 30)])
    await platform.send(AppendRecords(records=records), "days:0")
    assert (await datapunk("lake", "retain", "days", "--days", "7", "--by", "day")).status == 0
    schedule = temporal.get_schedule_handle("lake.expire_records")

    async def is_triggered() -> bool:
        found = await platform.client.ask(GetDataset(dataset="days"))
        assert isinstance(found, Dataset)
        if found.retention_days is None:
            return False
        await schedule.trigger()
        return True

    await eventually(is_triggered, "the retention is known")

    async def are_gone() -> bool:
        page = await platform.client.ask(FindRecords(dataset="days"))
        assert isinstance(page, RecordPage)
        return page.count == 2

    await eventually(are_gone, "two records are gone")


async def test_how_long_records_are_kept_is_said_and_shown(datapunk: Datapunk, lake: Lake) -> None:
    await lake.create([{"name": "day", "type": DAY}], id="days")
    for arguments, days, field in (
        (["--days", "7", "--by", "day"], 7, "day"),
        (["--days", "30"], 30, None),
        (["--forever"], None, None),
    ):
        ended = await datapunk("lake", "retain", "days", *arguments, "--json")
        assert ended.status == 0, ended.err
        found = await lake.client.ask(GetDataset(dataset="days"), after_position=ended.json["position"])
        assert isinstance(found, Dataset)
        assert (found.retention_days, found.retention_field) == (days, field)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["days", "--days", "7", "--by", "nowhere"], "retention_invalid: the schema has no field 'nowhere'"),
        (["nothing", "--forever"], "dataset_unknown"),
        (["days"], "say either --days N or --forever"),
        (["days", "--days", "7", "--forever"], "say either --days N or --forever"),
    ],
)
async def test_a_retention_that_makes_no_sense_is_told(
    datapunk: Datapunk, lake: Lake, arguments: list[str], told: str
) -> None:
    await lake.create([{"name": "day", "type": DAY}], id="days")
    ended = await datapunk("lake", "retain", *arguments)
    assert ended.status != 0
    assert told in ended.err


async def test_many_datasets_are_gone_through_in_several_runs(
    temporal: TemporalClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(expire_records, "PAGE", 2)
    names = [f"d{number}" for number in range(5)]
    gone: list[str] = []
    nows: list[str] = []

    @activity.defn
    async def find_due(now: str, after: Place | None) -> list[Due]:
        nows.append(now)
        rest = [name for name in names if after is None or name > after.dataset]
        return [Due("default", name, 1, None, now) for name in rest[:2]]

    @activity.defn
    async def expire(due: Due) -> int:
        gone.append(due.dataset)
        return 10

    queue = uuid4().hex
    async with (
        asyncio.timeout(60),
        Worker(
            temporal,
            task_queue=queue,
            workflows=[ExpireRecordsWorkflow],
            activities=[find_due, expire],
            workflow_runner=UnsandboxedWorkflowRunner(),
        ),
    ):
        assert await temporal.execute_workflow(ExpireRecordsWorkflow.run, id=queue, task_queue=queue) == 50
    assert gone == names
    assert len(nows) == 3
