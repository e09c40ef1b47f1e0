"""Who takes its messages slowly, or not at all, keeps nobody waiting, and misses nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from datapunk.broker.channel import Channel
from datapunk.broker.link import Link
from datapunk.messages.outcome import Outcome, Status
from datapunk.messages.registry import Registry
from datapunk.settings import Settings
from datapunk.worker import prepare
from tests.accounts.module import accounts
from tests.chaos.history import EVENTS, History
from tests.chaos.load import under_load
from tests.raw import raw_client
from tests.working import DEADLINE_S, worker_process

COMMANDS = 500


@asynccontextmanager
async def reading_nothing(settings: Settings, queue: str) -> AsyncGenerator[Channel]:
    """A consumer that the broker may send everything to, and that reads nothing from its connection."""
    link = await Link.open(settings.broker_url, name="slow")
    try:
        channel = await link.channel()
        await channel.consume(queue, "slow")
        link.read_no_further(channel.deliveries)
        yield channel
    finally:
        await link.close()


async def test_a_subscriber_that_takes_nothing_holds_nobody_up_and_misses_nothing(settings: Settings) -> None:
    await prepare([accounts], settings)
    history = History(settings)
    await history.subscribe()
    async with worker_process(settings):
        async with reading_nothing(settings, EVENTS), under_load(history) as load:
            await load.progress()
        await history.check()


async def test_a_client_that_does_not_read_its_replies_holds_nobody_up_and_misses_none(settings: Settings) -> None:
    await prepare([accounts], settings)
    registry = Registry.of([accounts])
    history = History(settings)
    await history.subscribe()
    async with worker_process(settings), raw_client(settings) as sender:
        replies = await sender.channel.declare_queue("slow.replies", durable=True)
        async with reading_nothing(settings, replies.name) as slow:
            sent = [
                await sender.publish(
                    "accounts.commands",
                    "accounts.Deposit",
                    b'{"cents":%d}' % (number + 1),
                    headers={"actor-id": "slow"},
                    reply_to=replies.name,
                )
                for number in range(COMMANDS)
            ]
            async with under_load(history) as load:
                await load.progress()
            history.sent["slow"] = sent
            await history.check()
            slow.link.read_on(slow.deliveries)
            answered: set[str] = set()
            async with asyncio.timeout(DEADLINE_S):
                while answered != set(sent):
                    for reply in await slow.take(COMMANDS, 0):
                        outcome = registry.decode(Outcome.message_type, reply.body, reply.properties.content_type, None)
                        assert isinstance(outcome, Outcome)
                        assert outcome.status is Status.Accepted
                        answered.add(str(outcome.command_id))
