"""Projections on a real Postgres: exactly once, whatever breaks in between; pausing, failing, and how far behind."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from prometheus_client import REGISTRY
from psycopg import AsyncConnection

from datapunk import Projection, Recorded, Rows, projects
from datapunk.errors import ConfigurationError, OwnershipLost
from datapunk.generation import active
from datapunk.messages.registry import Registry
from datapunk.settings import Settings, load_settings
from datapunk.store.append import append
from tests.accounts.balances import Balances
from tests.accounts.commands import Deposit
from tests.accounts.events import Deposited
from tests.accounts.module import accounts
from tests.accounts.queries import Balance, GetBalance
from tests.events import deposits
from tests.projecting import balances, projecting, set_paused, until_applied
from tests.working import eventually, working


@pytest.fixture
def alone(database_url: str) -> Settings:
    """Settings of a projector without a broker; small batches."""
    return load_settings().model_copy(update={"database_url": database_url, "projection_batch": 10})


class Changed(Balances):
    """Balances with another handler, over the same tables."""

    async def create(self, rows: Rows) -> None:
        """The same tables."""
        await Balances().create(rows)


async def test_two_projectors_of_one_projection_can_not_apply_an_event_twice(connection: AsyncConnection[Any]) -> None:
    registry = Registry.of([accounts])
    await append(connection, deposits(3))
    both = await active(connection, Balances())
    first, applied = await both.apply(connection, registry, 2)
    assert (len(applied), first.position) == (2, 2)
    with pytest.raises(OwnershipLost):
        await both.apply(connection, registry, 2)
    await first.apply(connection, registry, 10)
    assert await balances(connection) == [("a", 3, 3)]


class CutOff(Changed):
    """Its backend is killed a few times: after it wrote, before the checkpoint is committed."""

    cuts = 0

    @projects(Deposited)
    async def deposited(self, rows: Rows, events: Sequence[Recorded[Deposited]]) -> None:
        """Write, then lose the connection."""
        await super().deposited(rows, events)
        if self.cuts > 0:
            self.cuts -= 1
            await rows.execute("select pg_terminate_backend(pg_backend_pid())")


async def test_what_was_written_without_its_checkpoint_is_undone(
    alone: Settings, connection: AsyncConnection[Any]
) -> None:
    projection = CutOff()
    projection.cuts = 2
    last = (await append(connection, deposits(25))).positions[-1]
    async with projecting(projection, alone):
        await until_applied(connection, last)
    assert projection.cuts == 0
    assert await balances(connection) == [("a", 25, 25)]


class Failing(Changed):
    """Fails after having written, until it's mended."""

    is_mended = False

    @projects(Deposited)
    async def deposited(self, rows: Rows, events: Sequence[Recorded[Deposited]]) -> None:
        """Fail."""
        await super().deposited(rows, events)
        if not self.is_mended:
            raise ZeroDivisionError("as told")


async def test_a_failing_handler_is_shown_and_tried_again_and_nothing_is_skipped(
    alone: Settings, connection: AsyncConnection[Any]
) -> None:
    async def error() -> str | None:
        cursor = await connection.execute("select error from projections")
        row = await cursor.fetchone()
        return row[0] if row else None

    projection = Failing()
    last = (await append(connection, deposits(2))).positions[-1]
    async with projecting(projection, alone):
        assert await eventually(error, "the error is shown") == "ZeroDivisionError: as told"

        async def is_behind() -> bool:
            return lag("events") == 2

        await eventually(is_behind, "the lag is told")
        projection.is_mended = True
        await until_applied(connection, last)

        async def is_forgotten() -> bool:
            return await error() is None

        await eventually(is_forgotten, "the error is gone")
    assert await balances(connection) == [("a", 2, 2)]


class Strained(Changed):
    """Its database bears two events in a transaction, and none of an unlucky account."""

    @projects(Deposited)
    async def deposited(self, rows: Rows, events: Sequence[Recorded[Deposited]]) -> None:
        """Write, or fail as Postgres does."""
        if len(events) > 2 or any(recorded.actor == "unlucky" for recorded in events):
            await rows.execute("select 1 / 0")
        await super().deposited(rows, events)


async def test_what_is_too_much_for_one_transaction_is_applied_in_several(
    alone: Settings, connection: AsyncConnection[Any]
) -> None:
    await append(connection, deposits(9))
    async with projecting(Strained(), alone):
        await until_applied(connection, 9)
    assert await balances(connection) == [("a", 9, 9)]


async def test_what_comes_before_an_event_that_is_refused_gets_through(
    alone: Settings, connection: AsyncConnection[Any]
) -> None:
    await append(connection, deposits(5))
    await append(connection, deposits(1, account="unlucky"))
    async with projecting(Strained(), alone):
        await until_applied(connection, 5)
    assert await balances(connection) == [("a", 5, 5)]


async def test_nothing_is_applied_once_a_projection_is_paused(
    alone: Settings, connection: AsyncConnection[Any]
) -> None:
    last = (await append(connection, deposits(1))).positions[-1]
    async with projecting(Balances(), alone) as projector:
        await until_applied(connection, last)
        await set_paused(connection, True)
        last = (await append(connection, deposits(1, first=2))).positions[-1]
        projector.wake()

        async def is_seen() -> bool:
            return lag("events") == 1

        await eventually(is_seen, "the paused projection's lag")
        assert await balances(connection) == [("a", 1, 1)]
        await set_paused(connection, False)
        await until_applied(connection, last)
    assert await balances(connection) == [("a", 2, 2)]


async def test_a_pause_stops_even_a_projector_that_has_looked_already(connection: AsyncConnection[Any]) -> None:
    await append(connection, deposits(1))
    generation = await active(connection, Balances())
    await set_paused(connection, True)
    with pytest.raises(OwnershipLost):
        await generation.apply(connection, Registry.of([accounts]), 10)


async def test_lag_is_told_by_the_process_that_projects_and_by_no_other(
    alone: Settings, connection: AsyncConnection[Any]
) -> None:
    last = (await append(connection, deposits(3))).positions[-1]
    async with projecting(Balances(), alone):
        await until_applied(connection, last)

        async def is_zero() -> bool:
            return lag("events") == 0 and lag("seconds") == 0

        await eventually(is_zero, "no lag")
    assert lag("events") is None


async def test_lag_in_seconds_is_the_age_of_the_first_event_not_applied(
    alone: Settings, connection: AsyncConnection[Any]
) -> None:
    await append(connection, deposits(3))
    await connection.execute("update events set at = at - interval '1 hour' where version = 1")
    await active(connection, Balances())
    await set_paused(connection, True)
    async with projecting(Balances(), alone):

        async def is_an_hour() -> bool:
            return (lag("seconds") or 0) >= 3600

        await eventually(is_an_hour, "an hour's lag")


async def test_a_client_reads_its_own_write(settings: Settings) -> None:
    async with working([accounts], settings) as client:
        for cents in range(1, 11):
            position = (await client.send(Deposit(cents=1), "a")).position
            answer = await client.ask(GetBalance(account="a"), after_position=position)
            assert answer == Balance(cents=cents, deposits=cents)


def test_a_projection_names_its_schema() -> None:
    assert Balances.schema() == "accounts_balances"


def test_a_projection_needs_a_name() -> None:
    with pytest.raises(ConfigurationError, match="needs a class attribute 'name'"):
        type("Nameless", (Projection,), {"module": "accounts"})


@pytest.mark.parametrize("name", ["balances_old", "balances_g2", "b" * 50])
def test_a_projection_does_not_take_a_name_that_rebuilding_needs(name: str) -> None:
    with pytest.raises(ConfigurationError, match="call it neither"):
        type("Badly", (Projection,), {"module": "accounts", "name": name})


def lag(unit: str) -> float | None:
    """What the metrics say."""
    return REGISTRY.get_sample_value(f"projection_lag_{unit}", {"projection": "accounts.balances"})
