"""`datapunk store verify`."""

from __future__ import annotations

from typing import Any

from psycopg import AsyncConnection

from tests.command_line import CommandLine
from tests.datapunk.archive.history import contents, remember


async def test_verify_ends_with_what_there_is_and_its_hash(
    datapunk: CommandLine, connection: AsyncConnection[Any]
) -> None:
    await remember(connection)
    ended = await datapunk("store", "verify")
    as_json = (await datapunk("store", "verify", "--json")).json
    assert ended.status == 0
    assert ended.out.splitlines() == [
        "6 events of 2 actors, 0 snapshots, 7 processed commands",
        f"sha-256 {as_json['sha256']}",
        "all as it should be",
    ]
    assert (as_json["events"], as_json["findings"]) == (6, [])


async def test_verify_shows_the_hash_of_each_actor_where_asked(
    datapunk: CommandLine, connection: AsyncConnection[Any]
) -> None:
    await remember(connection)
    ended = await datapunk("store", "verify", "--streams")
    shown = {line.split()[1]: line.split()[0] for line in ended.out.splitlines()[:2]}
    hashes = (await datapunk("store", "verify", "--streams", "--json")).json["stream_hashes"]
    assert shown == {each["stream"]: each["sha256"] for each in hashes}
    assert list(shown) == ["accounts.account/a", "accounts.account/b"]


async def test_verify_shows_all_that_is_wrong_and_ends_with_one(
    datapunk: CommandLine, connection: AsyncConnection[Any]
) -> None:
    await remember(connection)
    await connection.execute("update events set data = '' where position in (2, 4)")
    ended = await datapunk("store", "verify")
    assert ended.status == 1
    lines = ended.out.splitlines()
    assert [line.split(":")[0] for line in lines[:2]] == [
        "undecodable  accounts.account/b version 1 (tenant default, position 2)",
        "undecodable  accounts.account/b version 2 (tenant default, position 4)",
    ]
    assert lines[-1] == "2 wrong"
    ended = await datapunk("store", "verify", "--json")
    assert (ended.status, [each["problem"] for each in ended.json["findings"]]) == (1, ["undecodable"] * 2)


async def test_verify_writes_nothing(datapunk: CommandLine, connection: AsyncConnection[Any]) -> None:
    ended = await datapunk("store", "verify")
    assert ended.status == 0
    assert await contents(connection, "schemas") == []
