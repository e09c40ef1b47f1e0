"""`datapunk events export` and `import`."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from pathlib import Path
from typing import Any

from psycopg import AsyncConnection

from datapunk.store.append import append
from datapunk.store.connection import connect
from tests.command_line import CommandLine
from tests.datapunk.archive.history import contents, load, remember, save
from tests.events import REGISTRY, deposits
from tests.working import eventually


async def count(url: str) -> int:
    """Events in another store."""
    async with await connect(url) as conn:
        return len(await contents(conn, "events"))


async def test_a_store_goes_through_a_file_into_another_one(
    datapunk: CommandLine, connection: AsyncConnection[Any], second_database_url: str
) -> None:
    await remember(connection)
    exported = await datapunk("events", "export", "history.avro")
    assert exported.status == 0
    assert "6 events and 7 processed commands exported to history.avro" in exported.err
    imported = await datapunk("events", "import", "history.avro", DATAPUNK_DATABASE_URL=second_database_url)
    assert imported.status == 0
    assert "6 events and 7 processed commands imported" in imported.err
    assert await count(second_database_url) == 6


async def test_a_store_goes_through_a_pipe_into_another_one_that_is_not_there_yet(
    datapunk: CommandLine, connection: AsyncConnection[Any], second_database_url: str
) -> None:
    await remember(connection)
    exported = await datapunk("events", "export", "-")
    lines = [json.loads(line) for line in exported.out.splitlines()]
    assert [next(iter(line)) for line in (lines[0], lines[-1])] == ["header", "trailer"]
    async with await connect(second_database_url) as target:
        await target.execute("drop schema public cascade")
        await target.execute("create schema public")
    target_url = {"DATAPUNK_DATABASE_URL": second_database_url}
    ended = await datapunk("events", "import", "-", "--json", input=exported.out.encode(), **target_url)
    assert ended.json == lines[-1]["trailer"] | {"is_new": True}
    ended = await datapunk("events", "import", "-", "--json", input=exported.out.encode(), **target_url)
    assert ended.json == lines[-1]["trailer"] | {"is_new": False}


async def test_an_export_can_be_limited(datapunk: CommandLine, connection: AsyncConnection[Any]) -> None:
    await remember(connection)
    await datapunk("events", "export", "x.jsonl", "--stream", "accounts.account/a", "--after", "1", "--until", "4")
    lines = [json.loads(line) for line in (datapunk.folder / "x.jsonl").read_text().splitlines()]
    assert [line["event"]["position"] for line in lines if "event" in line] == [3]
    ended = await datapunk("events", "export", "y.jsonl", "--json", "--until", "2020-01-01")
    assert ended.json["events"] == 0


async def test_what_is_wrong_is_told_with_what_to_do(datapunk: CommandLine, connection: AsyncConnection[Any]) -> None:
    await remember(connection)
    (datapunk.folder / "there.jsonl").touch()
    for arguments, status, says in (
        (("export", "there.jsonl"), 1, "configuration: there.jsonl is there already"),
        (("export", "no/such/folder.jsonl"), 1, "can't be written: No such file or directory"),
        (("export", "x.jsonl", "--after", "yesterday"), 2, "neither a number nor a time"),
        (("export", "-", "--json"), 2, "get into each other's way"),
        (("import", "none.jsonl"), 1, "configuration: none.jsonl can't be read: No such file"),
        (("import", "there.jsonl"), 1, "archive_damaged: it's cut off"),
    ):
        ended = await datapunk("events", *arguments)
        assert (ended.status, says in " ".join(ended.err.split())) == (status, True), (arguments, ended.err)


async def test_an_interrupted_import_leaves_nothing_behind(
    datapunk: CommandLine, connection: AsyncConnection[Any], second_database_url: str
) -> None:
    await REGISTRY.sync(connection)
    await append(connection, deposits(2000))
    await save(connection, datapunk.folder / "whole.jsonl")
    lines = (datapunk.folder / "whole.jsonl").read_bytes().splitlines(keepends=True)
    pipe = datapunk.folder / "pipe"
    os.mkfifo(pipe)
    arguments = ("events", "import", str(pipe))
    async with datapunk.running(*arguments, DATAPUNK_DATABASE_URL=second_database_url) as running:
        file = await asyncio.to_thread(pipe.open, "wb")
        await asyncio.to_thread(file.writelines, lines[:-1])  # and then nothing comes
        await asyncio.to_thread(file.flush)
        assert await running.stop(signal.SIGINT) == 130
        file.close()
    assert await count(second_database_url) == 0


async def test_an_interrupted_export_leaves_no_file(datapunk: CommandLine, connection: AsyncConnection[Any]) -> None:
    await REGISTRY.sync(connection)
    await append(connection, deposits(10))
    async with connection.transaction():
        await connection.execute("lock table inbox in access exclusive mode")  # it gets so far, and waits
        async with datapunk.running("events", "export", "x.jsonl") as running:

            async def is_under_way() -> bool:
                return bool(partial(datapunk.folder))

            await eventually(is_under_way, "a file that's being written")
            assert await running.stop(signal.SIGINT) == 130
    assert partial(datapunk.folder) == []
    assert not (datapunk.folder / "x.jsonl").exists()


def partial(folder: Path) -> list[Path]:
    """Files that are being written."""
    return list(folder.glob("x.jsonl*"))


async def test_an_import_goes_on_beside_running_readers(
    datapunk: CommandLine, connection: AsyncConnection[Any], second_database_url: str
) -> None:
    await remember(connection)
    await save(connection, datapunk.folder / "x.avro")
    async with await connect(second_database_url) as reader, reader.transaction():
        await reader.execute("select * from events")  # an open transaction of somebody who reads
        async with await connect(second_database_url) as target:
            trailer, is_new = await load(target, datapunk.folder / "x.avro")
    assert (trailer.events, is_new) == (6, True)
