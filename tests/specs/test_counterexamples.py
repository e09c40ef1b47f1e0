"""What the models found, played on the real servers. See docs/explanation/model.md."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

import httpx
import psycopg
import pytest
from psycopg import AsyncConnection

from datapunk.broker.topology import command_queue
from datapunk.generation import active
from datapunk.rebuild import rebuild
from datapunk.settings import Settings
from datapunk.store.append import append
from datapunk.store.connection import connect
from datapunk.store.statements import statement
from datapunk.worker import prepare
from tests.accounts.balances import Balances
from tests.accounts.module import accounts
from tests.chaos.history import History
from tests.events import REGISTRY, deposits
from tests.projecting import balances
from tests.specs.tracing import until_frozen
from tests.working import eventually, worker_process

SHARDS, ACCOUNTS = 12, 64  # so many that a second worker gets some of each, as good as for sure
NOTHING_WITHIN_S = 3.0


@pytest.mark.parametrize("is_slow_writer_about", [False, True])
async def test_a_switch_applies_what_the_projector_commits_while_it_waits(
    settings: Settings, connection: AsyncConnection[Any], is_slow_writer_about: bool
) -> None:
    """A slow writer has read the lower bound of its positions, and takes its lock after others were projected."""
    await append(connection, deposits(3))
    serving = await active(connection, Balances())
    with psycopg.connect(settings.database_url) as projector, psycopg.connect(settings.database_url) as writer:

        def apply_without_committing(_done: int, total: int) -> None:
            """Just before the switch, as the projector does it: checkpoint and rows in one transaction."""
            moved = {"projection": "accounts.balances", "generation": 1, "expected": serving.position, "reached": total}
            if projector.execute(statement("move_checkpoint"), moved).rowcount:
                projector.execute("insert into accounts_balances.balances values ('default', 'a', 3, 3)")
                if is_slow_writer_about:
                    writer.execute("select pg_advisory_xact_lock_shared(17488::bigint << 48)")  # read before the events

        rebuilding = asyncio.create_task(rebuild(Balances(), REGISTRY, settings, apply_without_committing))

        async def is_waiting() -> bool:
            return (await connection.execute("select from pg_locks where not granted")).rowcount > 0

        await eventually(is_waiting, "the switch waits for the projector")
        projector.commit()
        seen = await balances(connection)
        await asyncio.wait_for(rebuilding, 30)
    assert seen == [("a", 3, 3)]
    assert await balances(connection) == seen


async def test_what_a_former_owner_commits_late_is_published_before_what_follows(settings: Settings) -> None:
    await prepare([accounts], settings)
    history = History(settings)
    await history.subscribe()
    patient = settings.model_copy(update={"heartbeat_s": 60.0})  # it doesn't look whether it still owns anything
    async with worker_process(patient, main="tests.specs.late_main") as late:
        await eventually(_consumers(settings, lambda counts: min(counts) == 1), "it consumes")
        await history.send("a", 1)
        await until_frozen(late)
        async with worker_process(settings):
            await eventually(_consumers(settings, lambda counts: min(counts) == 2), "the new owner has recovered")
            late.send_signal(signal.SIGCONT)  # it commits, if it may, and dies
            await history.send("a", 1)
            await history.check()


async def test_an_owner_frozen_while_it_hands_over_does_not_break_the_order_of_commands(settings: Settings) -> None:
    settings = settings.model_copy(update={"shards": SHARDS})
    await prepare([accounts], settings)
    history = History(settings)
    await history.subscribe()
    async with worker_process(settings) as former, await connect(settings.database_url) as conn:
        await eventually(_consumers(settings, lambda counts: min(counts) == 1), "the first worker consumes")
        await conn.execute("begin; lock table inbox")  # its batch stands still: neither decided nor acknowledged
        await _send_to_all(history)
        async with worker_process(settings):
            await eventually(_is_asked_to_hand_over(former, settings), "the first worker is asked to hand over")
            former.send_signal(signal.SIGSTOP)
            await conn.execute("commit")
            await eventually(_have_one_owner(conn), "the second worker owns all shards")
            await eventually(_consumers(settings, lambda counts: min(counts) > 0), "all shards are consumed")
            await _send_to_all(history)
            with suppress(AssertionError):  # it shouldn't: the commands before these aren't done
                await eventually(_has_events(conn), "the second worker has decided something", NOTHING_WITHIN_S)
            former.send_signal(signal.SIGCONT)
            await history.check()


async def _send_to_all(history: History) -> None:
    await asyncio.gather(*(history.send(str(account), 1) for account in range(ACCOUNTS)))


def _is_asked_to_hand_over(process: asyncio.subprocess.Process, settings: Settings) -> Callable[[], Awaitable[bool]]:
    """Whether its heart has beaten a few times since there are two members."""

    async def look() -> bool:
        async with await connect(settings.database_url) as conn:
            cursor = await conn.execute(
                "select from members where group_name = 'accounts.shards' having count(*) = 2 "
                "and max(beat_at) filter (where description like %s) > max(joined_at) + make_interval(secs => %s)",
                (f"%:{process.pid}", 3 * settings.heartbeat_s),
            )
            return cursor.rowcount > 0

    return look


def _have_one_owner(conn: AsyncConnection[Any]) -> Callable[[], Awaitable[bool]]:
    """Whether all shards belong to the one member that is left."""

    async def look() -> bool:
        cursor = await conn.execute(
            "select from leases where group_name = 'accounts.shards' having count(*) = count(owner) "
            "and (select count(*) = 1 from members where group_name = 'accounts.shards')"
        )
        return cursor.rowcount > 0

    return look


def _has_events(conn: AsyncConnection[Any]) -> Callable[[], Awaitable[bool]]:
    async def look() -> bool:
        return (await conn.execute("select from events limit 1")).rowcount > 0

    return look


def _consumers(settings: Settings, are_right: Callable[[list[int]], bool]) -> Callable[[], Awaitable[bool]]:
    """Whether the numbers of consumers, waiting ones included, are right for all shards."""
    vhost = urlsplit(settings.broker_url).path.removeprefix("/")
    queues = [command_queue("accounts", shard) for shard in range(settings.shards)]

    async def look() -> bool:
        async with httpx.AsyncClient(base_url=settings.broker_management_url, timeout=30) as management:
            answer = await management.get(f"/api/consumers/{vhost}")
        consumed = [consumer["queue"]["name"] for consumer in answer.json()]
        return are_right([consumed.count(queue) for queue in queues])

    return look
