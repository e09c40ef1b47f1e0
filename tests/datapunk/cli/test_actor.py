"""`datapunk actor`: shows states and how they came about."""

from __future__ import annotations

import json
from typing import Any

from psycopg import AsyncConnection

from datapunk.store.append import append
from tests.command_line import CommandLine
from tests.events import deposits

NAME = "accounts.account/a"


async def test_show_prints_the_state_as_json(datapunk: CommandLine, connection: AsyncConnection[Any]) -> None:
    await append(connection, deposits(3))
    first, *rest = (await datapunk("actor", "show", NAME)).out.splitlines()
    assert first.startswith(f"{NAME} v3 since 20")
    assert json.loads("".join(rest)) == {"owner": None, "balance": 3}


async def test_show_at_a_version_or_a_time(datapunk: CommandLine, connection: AsyncConnection[Any]) -> None:
    await append(connection, deposits(1))
    second = await append(connection, deposits(1, first=2))
    await append(connection, deposits(1, first=3))
    assert second.at is not None
    for at in ("2", second.at.isoformat()):
        shown = (await datapunk("actor", "show", NAME, "--at", at, "--json")).json
        assert (shown["version"], shown["state"]["balance"]) == (2, 2)


async def test_history_prints_each_event_with_what_it_changed(
    datapunk: CommandLine, connection: AsyncConnection[Any]
) -> None:
    await append(connection, deposits(3))
    ended = await datapunk("actor", "history", NAME, "--from", "2", "--until", "3")
    lines = [line.split() for line in ended.out.splitlines()]
    assert [line[0] for line in lines] == ["v2", "balance", "+", "v3", "balance", "+"]
    assert (lines[0][4:], lines[1:3]) == (
        ["accounts.Deposited", '{"cents":1,"balance":2}'],
        [["balance", "-", "1"], ["+", "2"]],
    )


async def test_history_as_json_is_an_event_a_line(datapunk: CommandLine, connection: AsyncConnection[Any]) -> None:
    await append(connection, deposits(2))
    lines = (await datapunk("actor", "history", NAME, "--json")).out.splitlines()
    wanted = {
        "version": 2,
        "type": "accounts.Deposited",
        "event": {"cents": 1, "balance": 2},
        "changes": {"balance": {"before": 1, "after": 2}},
    }
    assert {name: json.loads(lines[1])[name] for name in wanted} == wanted


async def test_what_is_wrong_is_told_with_what_to_do(datapunk: CommandLine, connection: AsyncConnection[Any]) -> None:
    await append(connection, deposits(1))
    for arguments, status, says in (
        (("show", "accounts.acount/a"), 1, "there are accounts.account/<id>, lake.dataset/<id>"),
        (("show", "accounts.account/none"), 1, "had no event by then"),
        (("show", NAME, "--at", "2"), 1, "has 1 versions so far, not 2"),
        (("show", NAME, "--at", "yesterday"), 2, "neither a number nor a time"),
        (("history", NAME, "--from", "2"), 1, "has no events there"),
    ):
        ended = await datapunk("actor", *arguments)
        assert (ended.status, says in " ".join(ended.err.split())) == (status, True), (arguments, ended.err)
