"""Build ids: workflows stay with the release they began under, new ones go to the current one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from temporalio.client import Client as TemporalClient
from temporalio.client import WorkflowHandle
from temporalio.service import RPCError

from datapunk.messages.registry import Registry
from datapunk.settings import Settings
from datapunk.temporal.calling import task_queue
from datapunk.temporal.connection import connect
from datapunk.temporal.discovery import find_workflows
from datapunk.temporal.host import WorkflowHost
from datapunk.temporal.releases import release
from tests.accounts.module import accounts
from tests.command_line import CommandLine
from tests.working import eventually

MODULE = replace(accounts, workflows="tests.accounts.bonus")
REGISTRY = Registry.of([MODULE])


@pytest.fixture
async def temporal(settings_with_temporal: Settings) -> TemporalClient:
    return await connect(settings_with_temporal, REGISTRY)


@asynccontextmanager
async def workers(settings: Settings, build_id: str) -> AsyncIterator[None]:
    """Of a release."""
    stop = asyncio.Event()
    host = WorkflowHost(MODULE, find_workflows(MODULE), REGISTRY, settings.model_copy(update={"build_id": build_id}))
    running = asyncio.create_task(host.run(stop))
    try:
        yield
    finally:
        stop.set()
        await running


async def start(temporal: TemporalClient, id: str) -> WorkflowHandle[Any, Any]:
    return await temporal.start_workflow("GiveBonus", id=id, task_queue=task_queue(MODULE.name))


async def worked_by(workflow: WorkflowHandle[Any, Any], steps: int) -> list[str]:
    """The releases that took each of a workflow's steps, once there are so many."""

    async def look() -> list[str] | None:
        completed = [
            event.workflow_task_completed_event_attributes.deployment_version.build_id
            for event in (await workflow.fetch_history()).events
            if event.HasField("workflow_task_completed_event_attributes")
        ]
        return completed if len(completed) >= steps else None

    return await eventually(look, f"{workflow.id} has taken {steps} steps")


async def test_the_first_release_takes_workflows_without_being_told(
    settings_with_temporal: Settings, temporal: TemporalClient
) -> None:
    async with workers(settings_with_temporal, "a"):
        assert await worked_by(await start(temporal, "1"), 1) == ["a"]


async def test_workflows_under_way_stay_and_new_ones_go_to_the_current_release(
    settings_with_temporal: Settings, temporal: TemporalClient
) -> None:
    async with workers(settings_with_temporal, "a"):
        old = await start(temporal, "1")
        await worked_by(old, 1)
        async with workers(settings_with_temporal, "b"):
            await _released(temporal, "b")
            assert await worked_by(await start(temporal, "2"), 1) == ["b"]
            await old.signal("nobody_hears_it")
            assert await worked_by(old, 2) == ["a", "a"]


async def _released(temporal: TemporalClient, build_id: str) -> None:
    async def look() -> bool:
        try:
            await release(temporal, MODULE.name, build_id)
        except RPCError:  # it hasn't heard from that worker yet
            return False
        return True

    await eventually(look, f"{build_id} is the current release")


async def test_a_release_that_nobody_runs_is_told(settings_with_temporal: Settings, tmp_path: Path) -> None:
    datapunk = CommandLine(settings_with_temporal, tmp_path)
    ended = await datapunk("workflows", "release", "2.0", "accounts")
    assert ended.status == 1
    assert "no worker of accounts with DATAPUNK_BUILD_ID=2.0 was ever here" in ended.err
