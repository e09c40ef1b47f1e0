"""`datapunk schedules`: shows what runs by the clock, runs it now, pauses and resumes it."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest
from temporalio.client import Client as TemporalClient

from datapunk.messages.registry import Registry
from datapunk.settings import Settings
from datapunk.temporal.connection import connect
from datapunk.temporal.schedules import apply_schedules
from tests.accounts.module import accounts
from tests.accounts.savings import MONTHLY
from tests.command_line import CommandLine
from tests.working import eventually

NAME = "accounts.save"


@pytest.fixture
def datapunk(settings_with_temporal: Settings, tmp_path: Path) -> CommandLine:
    return CommandLine(settings_with_temporal, tmp_path)


@pytest.fixture
async def temporal(settings_with_temporal: Settings) -> TemporalClient:
    """With a schedule."""
    temporal = await connect(settings_with_temporal, Registry.of([accounts]))
    await apply_schedules(temporal, "accounts", [MONTHLY])

    async def is_listed() -> bool:
        return [each async for each in await temporal.list_schedules()] != []

    await eventually(is_listed, "the schedule is listed")
    return temporal


@pytest.mark.usefixtures("temporal")
async def test_list_shows_when_each_runs(datapunk: CommandLine) -> None:
    (row,) = (await datapunk("schedules", "list", "--json")).json
    assert (row["schedule"], row["workflow"], row["is_paused"], row["last"]) == (NAME, "Save", False, None)
    assert datetime.fromisoformat(row["next"]).tzinfo is not None
    assert NAME in (await datapunk("schedules", "list")).out


async def test_a_paused_schedule_waits_until_it_is_resumed(datapunk: CommandLine, temporal: TemporalClient) -> None:
    schedule = temporal.get_schedule_handle(NAME)
    ended = await datapunk("schedules", "pause", NAME, "--note", "no money")
    assert f"datapunk schedules resume {NAME}" in ended.out
    state = (await schedule.describe()).schedule.state
    assert (state.paused, state.note) == (True, "no money")
    assert (await datapunk("schedules", "resume", NAME, "--json")).json == {"schedule": NAME, "is_paused": False}
    assert not (await schedule.describe()).schedule.state.paused


async def test_trigger_runs_it_now(datapunk: CommandLine, temporal: TemporalClient) -> None:
    assert (await datapunk("schedules", "trigger", NAME, "--json")).json == {"schedule": NAME}

    async def has_run() -> bool:
        return bool((await temporal.get_schedule_handle(NAME).describe()).info.recent_actions)

    await eventually(has_run, "it has run")


@pytest.mark.usefixtures("temporal")
async def test_an_unknown_one_is_told_with_those_there_are(datapunk: CommandLine) -> None:
    ended = await datapunk("schedules", "pause", "accounts.spend")
    assert ended.status == 1
    assert "there is no schedule 'accounts.spend'; there are accounts.save" in ended.err


async def test_without_any_list_says_how_they_come_to_be(datapunk: CommandLine) -> None:
    assert "datapunk run MODULE --with workflows" in (await datapunk("schedules", "list")).out
