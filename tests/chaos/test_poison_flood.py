"""Bad messages among good ones: every good one is applied once, every bad one is recorded once, one by one.

A few thousand belong to every test run; `make chaos` sends 100,000 of each (`FLOOD` says how many).
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Sequence
from dataclasses import replace
from uuid import UUID

import aio_pika
import pytest
from uuid_utils.compat import uuid7

from actors.nexus.module import nexus
from datapunk.broker.link import Link
from datapunk.broker.properties import PERSISTENT, Properties
from datapunk.errors import QueryFailed
from datapunk.messages.registry import Registry
from datapunk.settings import Settings
from datapunk.store.connection import connect
from datapunk.store.originals import originals_of
from datapunk.temporal.connection import connect as connect_to_temporal
from datapunk.testing.platform import running_platform
from schemas.nexus.queries import CountDeadLetters, DeadLetterCounts
from tests.accounts.module import accounts
from tests.accounts.queries import Balance, GetBalance
from tests.working import DEADLINE_S, eventually, worker_process
from workflows.nexus.dead_letter import DeadLetterWorkflow

FLOOD = int(os.environ.get("FLOOD", "100000" if "CHAOS_SECONDS" in os.environ else "2000"))
PATIENCE_S = DEADLINE_S + FLOOD / 100
ACCOUNTS = 50
PIECE = 500  # messages a write
CROWD = 100
pytestmark = pytest.mark.timeout(300 + 4 * PATIENCE_S)
NEXUS = "actors.nexus.module:nexus"
DEPOSITS = replace(accounts, workflows=None)  # which would deposit on their own


async def flood(settings: Settings, ids: Sequence[UUID]) -> None:
    """One bad message and one good one for each id, as fast as the broker confirms them."""
    link = await Link.open(settings.broker_url, name="flood")
    channel = await link.channel(confirms=True)
    for start in range(0, len(ids), PIECE):
        for n, id in enumerate(ids[start : start + PIECE], start):
            for message_id, body in ((id, b'{"cents":"%d"}' % n), (uuid7(), b'{"cents":1}')):
                properties = Properties(
                    type="accounts.Deposit",
                    message_id=str(message_id),
                    content_type="application/avro+json",
                    headers={"actor-id": f"a{n % ACCOUNTS}"},
                    delivery_mode=PERSISTENT,
                )
                channel.publish("accounts.commands", "accounts.Deposit", properties, body)
        await channel.confirmed(channel.flush())
    await link.close()


async def two_keep(settings: Settings) -> bool:
    async with await aio_pika.connect(settings.broker_url) as connection:
        channel = await connection.channel()
        queue = await channel.declare_queue("accounts.dead", passive=True)
        return queue.declaration_result.consumer_count == 2


async def workflows(settings: Settings) -> int:
    """How many Temporal has heard of."""
    temporal = await connect_to_temporal(settings, Registry.of([nexus]))
    return (await temporal.count_workflows(f"WorkflowType = '{DeadLetterWorkflow.__name__}'")).count


async def test_every_good_message_is_applied_and_every_bad_one_kept_though_the_keeper_is_killed(
    settings_with_temporal: Settings,
) -> None:
    settings = settings_with_temporal
    ids = [uuid7() for _ in range(FLOOD)]
    async with running_platform([DEPOSITS, nexus], settings, with_workflows=True) as platform:
        began = time.monotonic()
        async with worker_process(settings, crash_at="keeper_kept", arguments=[NEXUS]) as killed:
            await eventually(lambda: two_keep(settings), "two keepers")
            await asyncio.gather(flood(settings, ids), asyncio.wait_for(killed.wait(), PATIENCE_S))
        assert killed.returncode == -9

        async def deposits() -> bool:
            total = 0
            for n in range(ACCOUNTS):
                try:
                    balance = await platform.client.ask(GetBalance(account=f"a{n}"))
                except QueryFailed:  # nothing was put into it yet
                    return False
                assert isinstance(balance, Balance)
                total += balance.cents
            return total == FLOOD

        await eventually(deposits, "all deposits", PATIENCE_S)
        good_s = time.monotonic() - began

        async def parked() -> DeadLetterCounts | None:
            counts = await platform.client.ask(CountDeadLetters())
            assert isinstance(counts, DeadLetterCounts)
            return counts if counts.total >= FLOOD else None

        counts = await eventually(parked, "all dead letters", PATIENCE_S)
        all_s = time.monotonic() - began
        print(f"{FLOOD:,} good ones applied in {good_s:.1f} s, as many bad ones recorded in {all_s:.1f} s")
        assert {(each.type, each.reason) for each in counts.counts} == {("accounts.Deposit", "undecodable")}
        crowded = await platform.client.ask(CountDeadLetters(crowded=True))
        assert isinstance(crowded, DeadLetterCounts)
        alone = FLOOD - crowded.total

        async def have_workflows() -> bool:
            return await workflows(settings) >= alone

        await eventually(have_workflows, "a workflow for each that is none of a crowd", PATIENCE_S)
        assert await workflows(settings) == alone <= 2 * CROWD * (all_s // 60 + 2)  # two keepers, and then one
        print(f"Temporal saw {alone:,} workflows")
    async with await connect(settings.database_url) as conn:
        cursor = await conn.execute("select id, message_id from nexus_dead_letters.dead_letters order by message_id")
        letters = await cursor.fetchall()
        assert [message_id for _, message_id in letters] == sorted(str(id) for id in ids)
        sent = {str(id): b'{"cents":"%d"}' % n for n, id in enumerate(ids)}
        for start in range(0, len(letters), PIECE):
            piece = letters[start : start + PIECE]
            originals = await originals_of(conn, [id for id, _ in piece])
            assert [originals[id].body for id, _ in piece] == [sent[message_id] for _, message_id in piece]
        cursor = await conn.execute("select count(*) from originals")
        assert await cursor.fetchone() == (FLOOD,)
