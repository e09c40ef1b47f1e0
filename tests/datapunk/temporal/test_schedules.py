"""Schedules: at Temporal they are what modules declare, and they run workflows."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from psycopg import AsyncConnection
from temporalio.client import Client as TemporalClient

from datapunk.errors import ConfigurationError, SecretUnreadable
from datapunk.messages.registry import Registry
from datapunk.module import Module
from datapunk.settings import Settings
from datapunk.store.append import append
from datapunk.store.vault import Vault
from datapunk.temporal.connection import connect
from datapunk.temporal.schedules import Schedule, apply_schedules
from datapunk.testing.platform import Platform
from datapunk.upkeep import reseal_secrets
from tests.accounts.module import accounts
from tests.accounts.savings import MONTHLY, SAVED, Save
from tests.events import deposits
from tests.working import eventually

OF_PLATFORM = ("datapunk.analyze_events", "datapunk.reseal_secrets")
OLD, NEW = (b64encode(letter * 32).decode() for letter in (b"o", b"n"))


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """With two keys for secrets, of which one is to go."""
    return settings.model_copy(update={"secrets_keys": f"{NEW},{OLD}"})


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
    await listed(temporal, "accounts.save", *OF_PLATFORM)
    await temporal.get_schedule_handle("accounts.save").trigger()

    async def saved() -> list[int]:
        return [event.cents for event in await platform_with_workflows.events("accounts.account/savings")]  # type: ignore[attr-defined]

    assert await eventually(saved, "something is saved") == [SAVED]


async def test_the_event_store_is_analyzed(
    platform_with_workflows: Platform, temporal: TemporalClient, connection: AsyncConnection[Any]
) -> None:
    await append(connection, deposits(3))
    await listed(temporal, "accounts.save", *OF_PLATFORM)
    await temporal.get_schedule_handle("datapunk.analyze_events").trigger()

    async def counted() -> bool:
        cursor = await connection.execute("select reltuples = 3 from pg_class where oid = 'events'::regclass")
        return await cursor.fetchone() == (True,)

    await eventually(counted, "Postgres knows how many events there are")


async def test_secrets_are_encrypted_with_the_newest_key(
    platform_with_workflows: Platform, temporal: TemporalClient, connection: AsyncConnection[Any]
) -> None:
    old, new = Vault.of(Settings(secrets_keys=OLD)), Vault.of(Settings(secrets_keys=NEW))
    ids = [await old.put(connection, "acme", f"secret {number}") for number in range(3)]
    await listed(temporal, "accounts.save", *OF_PLATFORM)
    await temporal.get_schedule_handle("datapunk.reseal_secrets").trigger()

    async def are_resealed() -> bool:
        try:
            return len(await new.get(connection, "acme", ids)) == len(ids)
        except SecretUnreadable:
            return False

    await eventually(are_resealed, "the new key opens all secrets")


async def test_where_nobody_has_secrets_none_needs_a_key(settings: Settings) -> None:
    assert await reseal_secrets(settings.model_copy(update={"secrets_keys": None, "directory": Path("nowhere")})) == 0


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
