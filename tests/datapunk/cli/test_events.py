"""`datapunk events`: the event store read, followed, or one actor's stream."""

from __future__ import annotations

import asyncio
import json
import signal
from typing import Any

import pytest
from psycopg import AsyncConnection

from datapunk.store.append import append
from tests.command_line import CommandLine
from tests.events import deposits


def parsed(out: str) -> list[dict[str, Any]]:
    """Events as JSON, one a line."""
    return [json.loads(line) for line in out.splitlines()]


async def test_read_shows_events_in_the_order_of_their_positions(
    datapunk: CommandLine, connection: AsyncConnection[Any]
) -> None:
    for account in ("a", "b"):
        await append(connection, deposits(2, account=account))
    ended = await datapunk("events", "read")
    lines = [line.split() for line in ended.out.splitlines()]
    assert ended.status == 0
    assert [(line[0], *line[3:]) for line in lines] == [
        ("1", "accounts.Deposited", "accounts.account/a", "v1", '{"cents":1,"balance":1}'),
        ("2", "accounts.Deposited", "accounts.account/a", "v2", '{"cents":1,"balance":2}'),
        ("3", "accounts.Deposited", "accounts.account/b", "v1", '{"cents":1,"balance":1}'),
        ("4", "accounts.Deposited", "accounts.account/b", "v2", '{"cents":1,"balance":2}'),
    ]


async def test_read_as_json_is_a_cloud_event_a_line(datapunk: CommandLine, connection: AsyncConnection[Any]) -> None:
    await append(connection, deposits(3))
    events = parsed((await datapunk("events", "read", "--json", "--after", "1", "--limit", "1")).out)
    wanted = {
        "specversion": "1.0",
        "source": "/accounts",
        "subject": "accounts.account/a",
        "type": "accounts.Deposited",
        "position": "2",
        "data": {"cents": 1, "balance": 2},
    }
    assert [{name: event[name] for name in wanted} for event in events] == [wanted]


async def test_read_shows_more_than_one_page(datapunk: CommandLine, connection: AsyncConnection[Any]) -> None:
    await append(connection, deposits(1200))
    events = parsed((await datapunk("events", "read", "--json", "--limit", "1100")).out)
    assert [event["position"] for event in events] == [str(position) for position in range(1, 1101)]


async def test_read_can_be_limited_to_some_types(datapunk: CommandLine, connection: AsyncConnection[Any]) -> None:
    await append(connection, deposits(2))
    ended = await datapunk("events", "read", "--type", "accounts.AccountOpened")
    assert (ended.status, ended.out) == (0, "")
    ended = await datapunk(
        "events", "read", "--json", "--type", "accounts.AccountOpened", "--type", "accounts.Deposited"
    )
    assert len(parsed(ended.out)) == 2


async def test_stream_shows_one_actor_from_a_version_on(
    datapunk: CommandLine, connection: AsyncConnection[Any]
) -> None:
    for account in ("a", "b"):
        await append(connection, deposits(3, account=account))
    events = parsed((await datapunk("events", "stream", "accounts.account/b", "--from", "2", "--json")).out)
    assert {event["subject"] for event in events} == {"accounts.account/b"}
    assert [event["version"] for event in events] == [2, 3]


async def test_a_stream_of_another_tenant_is_another_stream(
    datapunk: CommandLine, connection: AsyncConnection[Any]
) -> None:
    await append(connection, deposits(1))
    ended = await datapunk("events", "stream", "accounts.account/a", "--tenant", "other")
    assert ended.status == 1


async def test_tail_follows_what_is_stored_from_now_on_until_it_is_interrupted(
    datapunk: CommandLine, connection: AsyncConnection[Any]
) -> None:
    await append(connection, deposits(1))
    async with datapunk.running("events", "tail", "--after", "1", "--json") as running:
        assert running.process.stdout is not None
        for version in (2, 3):
            await append(connection, deposits(1, first=version))
            line = await asyncio.wait_for(running.process.stdout.readline(), 30)
            assert json.loads(line)["version"] == version
        assert await running.stop(signal.SIGINT) == 130


@pytest.mark.parametrize(
    ("arguments", "status", "says"),
    [
        (("read", "--type", "accounts.Deposted"), 1, "did you mean accounts.Deposited"),
        (("tail", "--type", "accounts.Deposted"), 1, "did you mean accounts.Deposited"),
        (("read", "--after", "-1"), 2, "should be greater than or equal to 0"),
        (("read", "--limit", "0"), 2, "should be greater than or equal to 1"),
        (("read", "--after", "yesterday"), 2, "should be a valid integer"),
        (("stream", "accounts.account/none"), 1, "a stream is named like lake.dataset/weather"),
        (("stream",), 2, "Missing argument"),
    ],
)
async def test_what_is_wrong_is_refused_with_what_to_do(
    datapunk: CommandLine, database_url: str, arguments: tuple[str, ...], status: int, says: str
) -> None:
    ended = await datapunk("events", *arguments)
    assert ended.status == status
    assert says in ended.err
