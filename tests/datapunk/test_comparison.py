"""What serves is compared with a replay, and nobody notices."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from psycopg import AsyncConnection

from datapunk import Recorded, Rows, projects
from datapunk.comparison import Comparison, compare
from datapunk.errors import ProjectionFailed, RebuildUnderWay
from datapunk.generation import active
from datapunk.settings import Settings, load_settings
from datapunk.store.append import append
from datapunk.store.connection import connect
from tests.accounts.balances import Balances
from tests.accounts.events import Deposited
from tests.datapunk.test_projector import Strained
from tests.events import REGISTRY, deposits
from tests.projecting import balances, projecting, set_paused

ROW = {"tenant": "default", "account": "a", "cents": 30, "deposits": 30}


@pytest.fixture
def settings(database_url: str) -> Settings:
    """Without a broker; small batches."""
    return load_settings().model_copy(update={"database_url": database_url, "projection_batch": 2})


async def serve(conn: AsyncConnection[Any], count: int) -> None:
    """Append deposits, and have them projected."""
    await append(conn, deposits(count))
    await (await active(conn, Balances())).apply(conn, REGISTRY, count + 1)


async def traces_of_comparing(conn: AsyncConnection[Any]) -> list[tuple[Any, ...]]:
    """Schemas and checkpoints beside the serving ones."""
    cursor = await conn.execute(
        "select nspname from pg_namespace where nspname like 'accounts%' and nspname <> 'accounts_balances' "
        "union all select generation::text from checkpoints join projections on name = projection "
        "where generation <> active_generation"
    )
    return await cursor.fetchall()


async def compared(settings: Settings, conn: AsyncConnection[Any], **options: Any) -> Comparison:
    """The comparison, which has left nothing behind."""
    before = await balances(conn)
    comparison = await compare(Balances(), REGISTRY, settings, **options)
    assert await balances(conn) == before
    assert await traces_of_comparing(conn) == []
    return comparison


async def test_tables_that_a_replay_gives_again_are_equal(settings: Settings, connection: AsyncConnection[Any]) -> None:
    await serve(connection, 30)
    comparison = await compared(settings, connection)
    assert (comparison.is_equal, comparison.position, comparison.served_version) == (True, 30, 1)
    (table,) = comparison.tables
    assert (table.table, table.served, table.only_served) == ("balances", table.replayed, [])
    assert table.served is not None
    assert table.served.rows == 1


async def test_a_projection_that_is_behind_is_compared_at_its_own_position(
    settings: Settings, connection: AsyncConnection[Any]
) -> None:
    await serve(connection, 30)
    await set_paused(connection, True)
    await append(connection, deposits(50, first=31))
    comparison = await compared(settings, connection)
    assert (comparison.is_equal, comparison.position) == (True, 30)


async def test_a_changed_row_is_shown_as_it_serves_and_as_a_replay_gives_it(
    settings: Settings, connection: AsyncConnection[Any]
) -> None:
    await serve(connection, 30)
    await connection.execute("update accounts_balances.balances set cents = 31")
    comparison = await compared(settings, connection)
    (table,) = comparison.tables
    assert not comparison.is_equal
    assert (table.only_served, table.only_replayed) == ([{**ROW, "cents": 31}], [ROW])


async def test_no_more_differing_rows_are_shown_than_asked_for(
    settings: Settings, connection: AsyncConnection[Any]
) -> None:
    await serve(connection, 30)
    await connection.execute(
        "insert into accounts_balances.balances select 'x', number::text, 1, 1 from generate_series(1, 9) as number"
    )
    (table,) = (await compared(settings, connection, rows=3)).tables
    assert [row["account"] for row in table.only_served] == ["1", "2", "3"]
    assert table.only_replayed == []


async def test_tables_and_columns_that_only_one_side_has_are_differences(
    settings: Settings, connection: AsyncConnection[Any]
) -> None:
    await serve(connection, 30)
    await connection.execute("create table accounts_balances.stray (x integer)")
    await connection.execute("alter table accounts_balances.balances alter column cents type numeric")
    first, second = (await compared(settings, connection)).tables
    assert (first.is_equal, first.only_served) == (False, [])
    assert first.served is not None
    assert "cents numeric" in first.served.columns
    assert (second.table, second.is_equal, second.replayed) == ("stray", False, None)


async def test_while_events_are_projected_both_sides_are_of_one_position(
    settings: Settings, connection: AsyncConnection[Any]
) -> None:
    settings = settings.model_copy(update={"projection_batch": 200})
    await serve(connection, 40)
    stop = asyncio.Event()

    async def write(projector: Any) -> None:
        version = 40
        async with await connect(settings.database_url) as conn:
            while not stop.is_set():
                await append(conn, deposits(5, first=version + 1))
                projector.wake()
                version += 5

    async with projecting(Balances(), settings) as projector:
        writing = asyncio.create_task(write(projector))
        comparisons = [await compare(Balances(), REGISTRY, settings) for _ in range(5)]
        stop.set()
        await writing
    assert [comparison.is_equal for comparison in comparisons] == [True] * 5
    assert comparisons[-1].position > comparisons[0].position >= 40


async def test_what_is_too_much_for_one_transaction_is_replayed_in_several(
    settings: Settings, connection: AsyncConnection[Any]
) -> None:
    await serve(connection, 9)
    ample = settings.model_copy(update={"projection_batch": 10})
    assert (await compare(Strained(), REGISTRY, ample)).is_equal


async def test_an_interrupted_comparison_leaves_nothing_behind(
    settings: Settings, connection: AsyncConnection[Any]
) -> None:
    await serve(connection, 100)
    comparing = asyncio.create_task(
        compare(Balances(), REGISTRY, settings, on_progress=lambda done, total: done >= 10 and comparing.cancel())
    )
    with pytest.raises(asyncio.CancelledError):
        await comparing
    assert await traces_of_comparing(connection) == []


async def test_two_at_once_are_refused(settings: Settings, connection: AsyncConnection[Any]) -> None:
    await serve(connection, 3)
    async with await connect(settings.database_url) as other:
        await other.execute("select pg_advisory_lock(hashtextextended('datapunk rebuild accounts.balances', 0))")
        with pytest.raises(RebuildUnderWay, match="compared already"):
            await compare(Balances(), REGISTRY, settings)


class Failing(Balances):
    """Can't count beyond one."""

    @projects(Deposited)
    async def deposited(self, rows: Rows, events: Sequence[Recorded[Deposited]]) -> None:
        raise ArithmeticError("too many")

    async def create(self, rows: Rows) -> None:
        await Balances().create(rows)


async def test_a_handler_that_fails_is_told_from_a_difference(
    settings: Settings, connection: AsyncConnection[Any]
) -> None:
    await serve(connection, 3)
    with pytest.raises(ProjectionFailed, match="can't be replayed: ArithmeticError: too many"):
        await compare(Failing(), REGISTRY, settings)
    assert await traces_of_comparing(connection) == []
