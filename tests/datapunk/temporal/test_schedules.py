"""Schedules: at Temporal they are what modules declare, and they run workflows."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from psycopg import AsyncConnection
from temporalio.client import Client as TemporalClient

from datapunk.errors import ConfigurationError
from datapunk.messages.registry import Registry
from datapunk.module import Module
from datapunk.settings import Settings
from datapunk.store.append import append
from datapunk.temporal.connection import connect
from datapunk.temporal.schedules import Schedule, apply_schedules
from datapunk.testing.platform import Platform
from tests.accounts.module import accounts
from tests.accounts.savings import MONTHLY, SAVED, Save
from tests.events import deposits
from tests.working import eventually


@pytest.fixture
def modules() -> list[Module]:
    return [replace(accounts, workflows="tests.accounts.savings")]


@pytest.fixture
async def temporal(settings_with_temporal: Settings) -> TemporalClient:
    return await connect(settings_with_temporal, Registry.of([accounts]))


async def listed(temporal: TemporalClient, *ids: str) -> None:
    """Until these are listed, and no others: Temporal's list lags behind."""

    async def look() -> bool:
        return {each.id async for each in await temporal.list_schedules()} == set(ids)

    await eventually(look, f"{ids} are the schedules")


async def interval(temporal: TemporalClient, id: str) -> timedelta:
    return (await temporal.get_schedule_handle(id).describe()).schedule.spec.intervals[0].every


async def test_a_worker_makes_what_its_modules_declare_and_it_runs(
    platform_with_workflows: Platform, temporal: TemporalClient
) -> None:
    await listed(temporal, "accounts.save", "datapunk.analyze_events")
    await temporal.get_schedule_handle("accounts.save").trigger()

    async def saved() -> list[int]:
        return [event.cents for event in await platform_with_workflows.events("accounts.account/savings")]  # type: ignore[attr-defined]

    assert await eventually(saved, "something is saved") == [SAVED]


async def test_the_event_store_is_analyzed(
    platform_with_workflows: Platform, temporal: TemporalClient, connection: AsyncConnection[Any]
) -> None:
    await append(connection, deposits(3))
    await listed(temporal, "accounts.save", "datapunk.analyze_events")
    await temporal.get_schedule_handle("datapunk.analyze_events").trigger()

    async def counted() -> bool:
        cursor = await connection.execute("select reltuples = 3 from pg_class where oid = 'events'::regclass")
        return await cursor.fetchone() == (True,)

    await eventually(counted, "Postgres knows how many events there are")


async def test_a_changed_schedule_is_changed_and_stays_paused(temporal: TemporalClient) -> None:
    await apply_schedules(temporal, "accounts", [MONTHLY])
    await temporal.get_schedule_handle("accounts.save").pause(note="broke")
    await apply_schedules(temporal, "accounts", [replace(MONTHLY, every=timedelta(days=7))])
    assert await interval(temporal, "accounts.save") == timedelta(days=7)
    state = (await temporal.get_schedule_handle("accounts.save").describe()).schedule.state
    assert (state.paused, state.note) == (True, "broke")


async def test_what_is_no_longer_declared_is_deleted_and_other_modules_keep_theirs(temporal: TemporalClient) -> None:
    await apply_schedules(temporal, "accounts", [MONTHLY, replace(MONTHLY, id="more")])
    await apply_schedules(temporal, "others", [MONTHLY])
    await listed(temporal, "accounts.save", "accounts.more", "others.save")
    await apply_schedules(temporal, "accounts", [MONTHLY])
    await listed(temporal, "accounts.save", "others.save")


async def test_a_wrong_time_is_told(temporal: TemporalClient) -> None:
    with pytest.raises(ConfigurationError, match=r"Temporal refuses the schedule accounts\.save"):
        await apply_schedules(temporal, "accounts", [Schedule("save", Save, cron="at noon")])


def test_a_schedule_has_times() -> None:
    with pytest.raises(ConfigurationError, match="either `cron` or `every`"):
        Schedule("save", Save)
