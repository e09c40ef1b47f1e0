"""How fast history goes into a file and out of it again, and how fast a store is verified."""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from time import perf_counter
from typing import Any
from urllib.parse import urlsplit

import psutil
import pytest
from psycopg import AsyncConnection
from rich.console import Console
from rich.table import Table

from datapunk.stack.running import Endpoints
from datapunk.store.append import AppendBatch, append
from datapunk.store.connection import connect
from datapunk.store.migrate import migrate
from datapunk.verification import Verifier
from tests.accounts.module import accounts
from tests.datapunk.archive.history import decided, load, save
from tests.events import OWNER, REGISTRY, deposits

EVENTS, AN_APPEND, ACCOUNTS = 500_000, 1000, 500
FILES = ("history.jsonl", "history.jsonl.gz", "history.avro")
MIB = 1024 * 1024


@pytest.mark.bench
@pytest.mark.servers
@pytest.mark.timeout(900)
def test_history_into_a_file_and_out_of_it(durable_stack: Endpoints) -> None:
    table = Table("", "events/s", "MiB", "memory grew by", title=f"{EVENTS:,} events, a command each")
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(_measure(durable_stack.variables["DATAPUNK_DATABASE_URL"], Path(folder), table))
    Console(width=110).print(table)


async def _measure(url: str, folder: Path, table: Table) -> None:
    url = urlsplit(url)._replace(path="/archived").geturl()
    await migrate(url)
    async with await connect(url) as conn:
        await _remember(conn)
        for name in FILES:
            path = folder / name
            await _time(table, f"export {name}", lambda path=path: save(conn, path), path)
        await _time(table, "verify", lambda: _verify(conn))
    for number, name in enumerate(FILES):
        other = urlsplit(url)._replace(path=f"/imported_{number}").geturl()
        await migrate(other)
        async with await connect(other) as conn:
            await _time(table, f"import {name}", lambda path=folder / name, conn=conn: load(conn, path))
            if number == 0:
                await _time(table, f"import {name} again", lambda path=folder / name, conn=conn: load(conn, path))


async def _remember(conn: AsyncConnection[Any]) -> None:
    await REGISTRY.sync(conn)
    for number in range(EVENTS // AN_APPEND):
        earlier = number // ACCOUNTS * AN_APPEND
        made = deposits(AN_APPEND, account=f"bench-{number % ACCOUNTS}", first=earlier + 1)
        commands = [decided(event.causation, event.stream, event.version) for event in made.events]
        await append(conn, AppendBatch("accounts", OWNER, made.events, made.shards, inbox=commands))


async def _verify(conn: AsyncConnection[Any]) -> None:
    report = await Verifier(conn, REGISTRY, [accounts], every_snapshot=True, on_finding=print).verify()
    assert (report.events, report.findings) == (EVENTS, 0)


async def _time(table: Table, what: str, act: Callable[[], Awaitable[object]], file: Path | None = None) -> None:
    process = psutil.Process(os.getpid())
    before, start = process.memory_info().rss, perf_counter()
    await act()
    seconds = perf_counter() - start
    grown = (process.memory_info().rss - before) / MIB
    size = "" if file is None else _mebibytes(file)
    table.add_row(what, f"{EVENTS / seconds:,.0f}", size, f"{grown:,.0f} MiB")


def _mebibytes(file: Path) -> str:
    return f"{file.stat().st_size / MIB:,.0f}"
