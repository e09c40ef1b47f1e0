"""An actor as it was, at any version and any time."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from psycopg import AsyncConnection

from datapunk.errors import ConfigurationError
from datapunk.messages.message import Event
from datapunk.store.append import append
from datapunk.store.events import EventData
from datapunk.time_travel import Point, TimeMachine
from tests.accounts.events import AccountOpened, Deposited
from tests.accounts.module import accounts
from tests.events import REGISTRY, batch, deposits

STREAM = "accounts.account/a"


def machine(conn: AsyncConnection[Any], stream: str = STREAM, tenant: str = "default") -> TimeMachine:
    return TimeMachine(conn, REGISTRY, [accounts], tenant, stream)


async def live(conn: AsyncConnection[Any], *events: Event) -> list[datetime]:
    """Let these happen to the account, one after another; returns when."""
    times: list[datetime] = []
    for version, each in enumerate(events, 1):
        recorded = EventData(
            "default",
            STREAM,
            version,
            each.message_type,
            uuid4(),
            REGISTRY.fingerprint(type(each)),
            REGISTRY.codec(type(each)).encode_binary(each),
            uuid4(),
            {},
        )
        result = await append(conn, batch(recorded))
        assert result.at is not None
        times.append(result.at)
    return times


LIFE = (AccountOpened(owner="Ada"), Deposited(cents=5, balance=5), Deposited(cents=0, balance=5))


async def test_the_state_at_each_version(connection: AsyncConnection[Any]) -> None:
    await live(connection, *LIFE)
    states = [(await machine(connection).state(version)).state for version in range(4)]
    assert states == [
        {"owner": None, "balance": 0},
        {"owner": "Ada", "balance": 0},
        {"owner": "Ada", "balance": 5},
        {"owner": "Ada", "balance": 5},
    ]


async def test_the_state_at_a_time_is_that_after_the_last_event_until_then(connection: AsyncConnection[Any]) -> None:
    times = await live(connection, *LIFE)
    moments: list[Point] = [times[0], times[1] - timedelta(microseconds=1), times[1], times[2] + timedelta(days=1)]
    assert [(await machine(connection).state(at)).version for at in moments] == [1, 1, 2, 3]


async def test_the_state_now_says_since_when_it_is_so(connection: AsyncConnection[Any]) -> None:
    times = await live(connection, *LIFE)
    moment = await machine(connection).state()
    assert (moment.version, moment.at) == (3, times[2])


async def test_history_is_each_event_with_what_it_changed(connection: AsyncConnection[Any]) -> None:
    await live(connection, *LIFE)
    changes = [change async for change in machine(connection).history()]
    assert [(change.recorded.version, change.event, change.before, change.after) for change in changes] == [
        (1, LIFE[0], {"owner": None}, {"owner": "Ada"}),
        (2, LIFE[1], {"balance": 0}, {"balance": 5}),
        (3, LIFE[2], {}, {}),
    ]


async def test_history_from_a_version_on_knows_what_came_before(connection: AsyncConnection[Any]) -> None:
    await live(connection, *LIFE)
    (change,) = [change async for change in machine(connection).history(after=1, until=2)]
    assert (change.before, change.after) == ({"balance": 0}, {"balance": 5})


async def test_an_actor_of_more_events_than_a_page_is_replayed_whole(connection: AsyncConnection[Any]) -> None:
    await append(connection, deposits(2500))
    assert (await machine(connection).state()).state["balance"] == 2500
    assert (await machine(connection).state(1700)).state["balance"] == 1700
    assert len([change async for change in machine(connection).history(after=1000)]) == 1500


async def test_snapshots_are_not_believed(connection: AsyncConnection[Any]) -> None:
    await live(connection, *LIFE)
    await connection.execute(
        "insert into snapshots (tenant, stream, version, state_version, state) values ('default', %s, 3, 0, '')",
        (STREAM,),
    )
    assert (await machine(connection).state()).state == {"owner": "Ada", "balance": 5}


async def test_what_never_was_is_refused_with_why(connection: AsyncConnection[Any]) -> None:
    times = await live(connection, *LIFE)
    with pytest.raises(ConfigurationError, match="has 3 versions so far, not 4"):
        await machine(connection).state(4)
    with pytest.raises(ConfigurationError, match="had no event by then"):
        await machine(connection).state(times[0] - timedelta(seconds=1))
    with pytest.raises(ConfigurationError, match=r"tenant other.* had no event by then"):
        await machine(connection, tenant="other").state()
    for name in ("accounts.acount/a", "accounts.account", "accounts.account/"):
        with pytest.raises(ConfigurationError, match=r"there are accounts\.account/<id>"):
            machine(connection, name)
