"""Rebuilding under readers' eyes: they see the old tables or the new, whole, whatever becomes of the rebuild."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import psycopg
import pytest
from psycopg import AsyncConnection

from datapunk import Asked, Recorded, Rows, answers, projects
from datapunk.answering import Answerer
from datapunk.errors import ProjectionFailed, RebuildUnderWay, ReplyTimeout
from datapunk.generation import Generation, active
from datapunk.rebuild import rebuild
from datapunk.settings import Settings, load_settings
from datapunk.store.append import append
from datapunk.store.connection import connect
from tests.accounts.balances import Balances, get_balance
from tests.accounts.events import Deposited
from tests.accounts.module import accounts
from tests.accounts.queries import Balance, GetBalance
from tests.events import REGISTRY, deposits
from tests.projecting import balances, projecting, set_paused, until_applied
from tests.working import DEADLINE_S, eventually


@pytest.fixture
def settings(database_url: str) -> Settings:
    """Without a broker; small batches."""
    return load_settings().model_copy(update={"database_url": database_url, "projection_batch": 2})


async def serve(conn: AsyncConnection[Any], count: int) -> Generation:
    """Append deposits, and have them projected."""
    await append(conn, deposits(count))
    generation = await active(conn, Balances())
    return (await generation.apply(conn, REGISTRY, count + 1))[0]


async def traces_of_rebuilding(conn: AsyncConnection[Any]) -> list[tuple[Any, ...]]:
    """Schemas and checkpoints beside the serving ones."""
    cursor = await conn.execute(
        "select nspname from pg_namespace where nspname like 'accounts%' and nspname <> 'accounts_balances' "
        "union all select generation::text from checkpoints join projections on name = projection "
        "where generation <> active_generation"
    )
    return await cursor.fetchall()


async def test_readers_under_load_see_old_or_new_tables_and_never_go_back_in_time(
    settings: Settings, connection: AsyncConnection[Any]
) -> None:
    settings = settings.model_copy(update={"projection_batch": 200})  # faster than the load
    await serve(connection, 40)
    stop = asyncio.Event()
    seen: list[tuple[int, int]] = []

    async def read() -> None:
        async with await connect(settings.database_url) as conn:
            while not stop.is_set():
                ((_, cents, count),) = await balances(conn)
                seen.append((cents, count))

    async def write() -> int:
        version = 40
        while not stop.is_set():
            await append(connection, deposits(5, first=version + 1))
            version += 5
        return version

    async with projecting(Balances(), settings) as projector:
        reading, writing = asyncio.create_task(read()), asyncio.create_task(write())
        for _ in range(10):
            projector.wake()
            await asyncio.wait_for(rebuild(Balances(), REGISTRY, settings), DEADLINE_S)
        stop.set()
        await reading
        last = await writing
        projector.wake()

        async def are_all_applied() -> bool:
            return await balances(connection) == [("a", last, last)]

        await eventually(are_all_applied, "every deposit")
    assert all(cents == count >= 40 for cents, count in seen)
    assert seen == sorted(seen)
    assert await traces_of_rebuilding(connection) == []


async def test_a_query_of_two_statements_never_sees_some_of_each_generation(
    settings: Settings, connection: AsyncConnection[Any]
) -> None:
    await serve(connection, 30)
    rebuilds = 1

    @answers(GetBalance, Balances)
    async def look_twice(query: GetBalance, asked: Asked) -> Balance:
        nonlocal rebuilds
        first = await asked.rows.execute("select sum(deposits) from accounts_balances.balances")
        before = await first.fetchone()
        if rebuilds:
            rebuilds -= 1
            # It would wait for this reader's lock before it drops the old tables.
            rebuilding.append(asyncio.create_task(rebuild(Balances(), REGISTRY, settings)))
            await eventually(switched_to(settings, 2), "the switch")
        second = await asked.rows.execute("select sum(deposits) from accounts_balances.balances")
        after = await second.fetchone()
        assert before is not None
        return Balance(cents=int(before[0]), deposits=int((after or [0])[0] or 0))

    rebuilding: list[asyncio.Task[Generation]] = []
    async with Answerer(replace(accounts, queries=[look_twice]), REGISTRY, settings) as answerer:
        answer = await answerer.answer(GetBalance(account="a"), tenant="default", after=None, timeout_s=DEADLINE_S)
    await asyncio.wait_for(rebuilding[0], DEADLINE_S)
    assert answer == Balance(cents=30, deposits=30)


def switched_to(settings: Settings, number: int) -> Callable[[], Awaitable[bool]]:
    """Whether a generation serves."""

    async def look() -> bool:
        async with await connect(settings.database_url) as conn:
            return (await active(conn, Balances())).number == number

    return look


class InText(Balances):
    """A release that keeps amounts in a column of another type."""

    version = 2

    async def create(self, rows: Rows) -> None:
        """Numeric instead of bigint."""
        await Balances().create(rows)
        await rows.execute("alter table balances alter column cents type numeric, alter column deposits type integer")


async def test_queries_go_on_when_a_rebuild_changes_the_type_of_a_column(
    settings: Settings, connection: AsyncConnection[Any]
) -> None:
    await serve(connection, 3)
    query = GetBalance(account="a")
    async with Answerer(replace(accounts, queries=[get_balance]), REGISTRY, settings) as answerer:
        for _ in range(20):  # so that the statement is a prepared one
            await answerer.answer(query, tenant="default", after=None, timeout_s=DEADLINE_S)
        await rebuild(InText(), REGISTRY, settings)
        answer = await answerer.answer(query, tenant="default", after=None, timeout_s=DEADLINE_S)
    assert answer == Balance(cents=3, deposits=3)


class WithBonus(Balances):
    """A release with one more column, which its query reads."""

    version = 2

    async def create(self, rows: Rows) -> None:
        """The same tables, and the column."""
        await Balances().create(rows)
        await rows.execute("alter table balances add column bonus bigint not null default 7")


async def test_a_query_of_a_new_release_asks_for_patience_until_its_tables_are_there(
    settings: Settings, connection: AsyncConnection[Any]
) -> None:
    await serve(connection, 3)

    @answers(GetBalance, WithBonus)
    async def get_bonus(query: GetBalance, asked: Asked) -> Balance:
        cursor = await asked.rows.execute("select bonus from accounts_balances.balances")
        ((bonus,),) = await cursor.fetchall()
        return Balance(cents=bonus, deposits=0)

    async with Answerer(replace(accounts, queries=[get_bonus]), REGISTRY, settings) as answerer:
        asking = partial(answerer.answer, GetBalance(account="a"), tenant="default", after=None, timeout_s=DEADLINE_S)
        with pytest.raises(ReplyTimeout, match="those of another release until they're rebuilt"):
            await asking()
        await rebuild(WithBonus(), REGISTRY, settings)
        assert await asking() == Balance(cents=7, deposits=0)
        await connection.execute("alter table accounts_balances.balances drop column bonus")
        with pytest.raises(psycopg.errors.UndefinedColumn):  # a mistake, which no rebuild mends
            await asking()


async def test_an_interrupted_rebuild_leaves_nothing_behind(
    settings: Settings, connection: AsyncConnection[Any]
) -> None:
    await serve(connection, 40)

    def interrupt(done: int, total: int) -> None:
        if done >= 10:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        await rebuild(Balances(), REGISTRY, settings, interrupt)
    assert await traces_of_rebuilding(connection) == []
    assert await balances(connection) == [("a", 40, 40)]


async def test_a_cancelled_rebuild_leaves_nothing_behind(settings: Settings, connection: AsyncConnection[Any]) -> None:
    await serve(connection, 40)
    rebuilding = asyncio.create_task(
        rebuild(Balances(), REGISTRY, settings, lambda done, total: done >= 10 and rebuilding.cancel())
    )
    with pytest.raises(asyncio.CancelledError):
        await rebuilding
    assert await traces_of_rebuilding(connection) == []


async def test_what_a_killed_rebuild_left_behind_is_taken_away_by_the_projector(
    settings: Settings, connection: AsyncConnection[Any]
) -> None:
    await serve(connection, 40)

    def kill(done: int, total: int) -> None:
        if done >= 10:
            with psycopg.connect(settings.database_url) as conn:
                conn.execute(
                    "select pg_terminate_backend(pid, 10000) from pg_locks where locktype = 'advisory'"
                    " and database = (select oid from pg_database where datname = current_database())"
                )

    with pytest.raises(psycopg.OperationalError):
        await rebuild(Balances(), REGISTRY, settings, kill)
    assert await traces_of_rebuilding(connection) != []
    async with projecting(Balances(), settings):

        async def is_clean() -> bool:
            return await traces_of_rebuilding(connection) == []

        await eventually(is_clean, "nothing left")
    assert await balances(connection) == [("a", 40, 40)]


class Broken(Balances):
    """A new release with a defect."""

    version = 2

    @projects(Deposited)
    async def deposited(self, rows: Rows, events: Sequence[Recorded[Deposited]]) -> None:
        """Fail."""
        raise ZeroDivisionError("as told")

    async def create(self, rows: Rows) -> None:
        """The same tables."""
        await Balances().create(rows)


async def test_a_rebuild_that_fails_says_why_and_the_old_tables_go_on(
    settings: Settings, connection: AsyncConnection[Any]
) -> None:
    await serve(connection, 40)
    with pytest.raises(ProjectionFailed, match="ZeroDivisionError: as told; the old tables go on serving reads"):
        await rebuild(Broken(), REGISTRY, settings)
    assert await balances(connection) == [("a", 40, 40)]
    assert await traces_of_rebuilding(connection) == []


async def test_a_second_rebuild_at_the_same_time_is_refused(
    settings: Settings, connection: AsyncConnection[Any]
) -> None:
    await serve(connection, 40)
    results = await asyncio.gather(*(rebuild(Balances(), REGISTRY, settings) for _ in range(3)), return_exceptions=True)
    refused = [result for result in results if isinstance(result, RebuildUnderWay)]
    rebuilt = [result for result in results if isinstance(result, Generation)]
    assert len(rebuilt) >= 1
    assert len(refused) + len(rebuilt) == 3


async def test_a_paused_projection_is_brought_to_the_present_by_a_rebuild_and_still_paused(
    settings: Settings, connection: AsyncConnection[Any]
) -> None:
    await serve(connection, 3)
    await set_paused(connection, True)
    await append(connection, deposits(20, first=4))
    await rebuild(Balances(), REGISTRY, settings)
    assert await balances(connection) == [("a", 23, 23)]
    cursor = await connection.execute("select is_paused from projections")
    assert await cursor.fetchone() == (True,)


class Hundredfold(Balances):
    """A new release that counts differently."""

    version = 2

    @projects(Deposited)
    async def deposited(self, rows: Rows, events: Sequence[Recorded[Deposited]]) -> None:
        """A cent is worth a hundred."""
        hundredfold = [
            replace(recorded, event=Deposited(cents=recorded.event.cents * 100, balance=0)) for recorded in events
        ]
        await super().deposited(rows, hundredfold)

    async def create(self, rows: Rows) -> None:
        """The same tables."""
        await Balances().create(rows)


async def test_a_release_with_a_changed_projection_rebuilds_it_and_goes_on(
    settings: Settings, connection: AsyncConnection[Any]
) -> None:
    await serve(connection, 3)
    async with projecting(Hundredfold(), settings) as projector:

        async def is_rebuilt() -> bool:
            return await balances(connection) == [("a", 300, 3)]

        await eventually(is_rebuilt, "the rebuilt projection")
        last = (await append(connection, deposits(1, first=4))).positions[-1]
        projector.wake()
        await until_applied(connection, last)
    assert await balances(connection) == [("a", 400, 4)]


async def test_an_older_release_leaves_a_newer_projection_alone(
    settings: Settings, connection: AsyncConnection[Any]
) -> None:
    await serve(connection, 3)
    await rebuild(Hundredfold(), REGISTRY, settings)
    await append(connection, deposits(1, first=4))
    async with projecting(Balances(), settings), projecting(Hundredfold(), settings):

        async def is_applied() -> bool:
            return await balances(connection) == [("a", 400, 4)]

        await eventually(is_applied, "the newer release's work")


class Endless(Hundredfold):
    """Takes so long that nobody waits for it."""

    @projects(Deposited)
    async def deposited(self, rows: Rows, events: Sequence[Recorded[Deposited]]) -> None:
        """Take an hour."""
        await rows.execute("select pg_sleep(3600)")


async def test_a_process_that_stops_does_not_wait_for_its_rebuild(
    settings: Settings, connection: AsyncConnection[Any]
) -> None:
    await serve(connection, 40)

    async def is_at_it() -> bool:
        cursor = await connection.execute(
            "select from pg_stat_activity where query = 'select pg_sleep(3600)' and datname = current_database()"
        )
        return cursor.rowcount > 0

    async with projecting(Endless(), settings):
        await eventually(is_at_it, "the rebuild under way")
    assert await traces_of_rebuilding(connection) == []
