"""Projections on real servers: exactly once, pausing, failing, rebuilding under readers' eyes."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest

from datapunk import Projection, Recorded, Rows, projects
from datapunk.client import Client
from datapunk.errors import ConfigurationError, OwnershipLost, QueryFailed
from datapunk.generation import active
from datapunk.messages.registry import Registry
from datapunk.rebuild import rebuild
from datapunk.settings import Settings
from datapunk.store.connection import connect
from datapunk.store.statements import statement
from tests.accounts.balances import Balances
from tests.accounts.commands import Deposit
from tests.accounts.events import Deposited
from tests.accounts.module import accounts
from tests.accounts.queries import Balance, GetBalance
from tests.working import eventually, working


async def deposit(client: Client, count: int, account: str = "a") -> int:
    """Deposits of one cent each; returns the last position."""
    position = 0
    for _ in range(count):
        position = (await client.send(Deposit(cents=1), account)).position
    return position


async def test_two_projectors_of_one_projection_can_not_apply_an_event_twice(settings: Settings) -> None:
    async with working([accounts], settings) as client:
        await client.ask(GetBalance(account="a"), after_position=await deposit(client, 3))
    registry = Registry.of([accounts])
    async with await connect(settings.database_url) as conn:
        await conn.execute("update checkpoints set position = 0")
        await conn.execute("truncate accounts_balances.balances")
        both = await active(conn, Balances())
        first, applied = await both.apply(conn, registry, 2)
        assert (applied, first.position) == (2, 2)
        with pytest.raises(OwnershipLost):
            await both.apply(conn, registry, 2)
        await first.apply(conn, registry, 10)
        cursor = await conn.execute("select cents, deposits from accounts_balances.balances")
        assert await cursor.fetchall() == [(3, 3)]


async def test_a_paused_projection_rests_and_goes_on_where_it_was(settings: Settings) -> None:
    async with working([accounts], settings) as client, await connect(settings.database_url) as conn:
        await client.ask(GetBalance(account="a"), after_position=await deposit(client, 1))
        pausing = {"projection": "accounts.balances", "is_paused": True}
        await conn.execute(statement("set_projection_paused"), pausing)
        position = await deposit(client, 5)
        with pytest.raises(QueryFailed, match=r"accounts\.balances reached position"):
            # The projector may have been under way when it was paused; the last deposits it can't have seen.
            await client.ask(GetBalance(account="a"), after_position=position + 1, timeout_s=1.5)
        await conn.execute(statement("set_projection_paused"), {**pausing, "is_paused": False})
        answer = await client.ask(GetBalance(account="a"), after_position=position)
        assert answer == Balance(cents=6, deposits=6)


class Failing(Balances):
    """Balances, with a handler that fails until it's mended."""

    is_mended = False

    @projects(Deposited)
    async def deposited(self, rows: Rows, events: Sequence[Recorded[Deposited]]) -> None:
        """Fail after having written."""
        await super().deposited(rows, events)
        if not Failing.is_mended:
            raise ZeroDivisionError("as told")

    async def create(self, rows: Rows) -> None:
        """The same tables."""
        await Balances().create(rows)


async def test_a_failing_handler_is_shown_and_tried_again_and_nothing_is_skipped(settings: Settings) -> None:
    Failing.is_mended = False
    module = replace(accounts, projections=[Failing])
    async with working([module], settings) as client, await connect(settings.database_url) as conn:
        position = await deposit(client, 2)

        async def error() -> str | None:
            cursor = await conn.execute("select error from projections where name = 'accounts.balances'")
            row = await cursor.fetchone()
            return row[0] if row else None

        assert await eventually(error, "the error is shown") == "ZeroDivisionError: as told"
        Failing.is_mended = True
        answer = await client.ask(GetBalance(account="a"), after_position=position)
        assert answer == Balance(cents=2, deposits=2)
        cursor = await conn.execute("select error from projections where name = 'accounts.balances'")
        assert await cursor.fetchone() == (None,)


async def test_readers_see_old_or_new_tables_but_never_half_of_them(settings: Settings) -> None:
    deposits = 40
    async with working([accounts], settings) as client, await connect(settings.database_url) as reader:
        position = await deposit(client, deposits)
        await client.ask(GetBalance(account="a"), after_position=position)
        stop = asyncio.Event()
        seen: list[tuple[int, int]] = []

        async def read() -> None:
            while not stop.is_set():
                cursor = await reader.execute("select cents, deposits from accounts_balances.balances")
                seen.extend(await cursor.fetchall())

        async def write() -> int:
            last = 0
            while not stop.is_set():
                last = await deposit(client, 1)
            return last

        reading, writing = asyncio.create_task(read()), asyncio.create_task(write())
        for _ in range(5):
            await rebuild(Balances(), Registry.of([accounts]), settings)
        stop.set()
        await reading
        last = await writing
        assert len(seen) > 10
        assert all(cents == count for cents, count in seen)
        assert [count for _, count in seen] == sorted(count for _, count in seen), "a reader went back in time"
        assert min(count for _, count in seen) >= deposits
        answer = await client.ask(GetBalance(account="a"), after_position=last)
        assert isinstance(answer, Balance)
        cursor = await reader.execute("select count(*) from events")
        assert await cursor.fetchone() == (answer.deposits,)
        cursor = await reader.execute("select nspname from pg_namespace where nspname like 'accounts%'")
        assert await cursor.fetchall() == [("accounts_balances",)]


async def test_a_projection_is_rebuilt_by_one_process_at_a_time(settings: Settings) -> None:
    async with working([accounts], settings) as client:
        await deposit(client, 1)
        registry = Registry.of([accounts])
        results = await asyncio.gather(
            *(rebuild(Balances(), registry, settings) for _ in range(3)), return_exceptions=True
        )
        failures = [result for result in results if isinstance(result, BaseException)]
        assert len(failures) < 3
        assert all(isinstance(failure, ConfigurationError) for failure in failures)


class NewBalances(Balances):
    """Counts differently: a cent is worth a hundred."""

    version = 2

    @projects(Deposited)
    async def deposited(self, rows: Rows, events: Sequence[Recorded[Deposited]]) -> None:
        """Hundredfold."""
        hundredfold = [
            replace(recorded, event=Deposited(cents=recorded.event.cents * 100, balance=0)) for recorded in events
        ]
        await super().deposited(rows, hundredfold)

    async def create(self, rows: Rows) -> None:
        """The same tables."""
        await Balances().create(rows)


async def test_a_release_with_a_changed_projection_rebuilds_it(settings: Settings) -> None:
    async with working([accounts], settings) as client:
        position = await deposit(client, 3)
        assert await client.ask(GetBalance(account="a"), after_position=position) == Balance(cents=3, deposits=3)
    module = replace(accounts, projections=[NewBalances])
    async with working([module], settings) as client:

        async def rebuilt() -> bool:
            return await client.ask(GetBalance(account="a")) == Balance(cents=300, deposits=3)

        await eventually(rebuilt, "the rebuilt projection")
        position = await deposit(client, 1)
        answer = await client.ask(GetBalance(account="a"), after_position=position)
        assert answer == Balance(cents=400, deposits=4)


def test_a_projection_names_its_schema() -> None:
    assert Balances.schema() == "accounts_balances"
    with pytest.raises(ConfigurationError, match="needs a class attribute 'name'"):
        type("Nameless", (Projection,), {"module": "accounts"})
