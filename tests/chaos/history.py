"""What clients saw confirmed, and whether the platform kept its word: the one checker of all chaos tests."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from uuid import uuid4

import aio_pika
from aio_pika.abc import AbstractChannel
from aio_pika.exceptions import AMQPError

from datapunk.client import Client
from datapunk.messages.registry import Registry
from datapunk.settings import Settings
from datapunk.store.connection import connect
from tests.accounts.module import accounts
from tests.accounts.queries import Balance, GetBalance
from tests.working import eventually

EVENTS = "history.events"  # a durable subscription to everything
CONFIRM_WITHIN_S, RETRY_S = 5.0, 0.1
PATIENCE_S = 60.0
BROKEN = (AMQPError, OSError, RuntimeError, TimeoutError, asyncio.InvalidStateError)


@dataclass
class History:
    """The commands that the broker confirmed, in the order in which each account's were sent.

    Each command deposits one cent more than the one before it: events tell their order by that.
    """

    settings: Settings
    headers: dict[str, str] = field(default_factory=dict[str, str])  # of every command, besides whom it's for
    sent: dict[str, list[str]] = field(default_factory=dict[str, list[str]])

    async def subscribe(self) -> None:
        """From now on, keep a copy of every event that is published."""
        async with await aio_pika.connect(self.settings.broker_url) as connection:
            channel = await connection.channel()
            queue = await channel.declare_queue(EVENTS, durable=True, arguments={"x-queue-type": "quorum"})
            await queue.bind("accounts.events", "#")

    async def send(self, account: str, commands: int) -> None:
        """Send so many commands to an account, one after another, each until it's confirmed."""
        ids = self.sent.setdefault(account, [])
        id = str(uuid4())
        while commands > 0:
            with suppress(*BROKEN):
                async with _channel(self.settings) as channel:
                    target = await channel.get_exchange("accounts.commands", ensure=False)
                    while commands > 0:
                        await _publish(target, {"actor-id": account, **self.headers}, len(ids) + 1, id)
                        ids.append(id)
                        id = str(uuid4())
                        commands -= 1
            await asyncio.sleep(RETRY_S)

    async def check(self) -> None:
        """Every confirmed command took effect exactly once and in order; every event was published; reads agree."""
        await eventually(self.are_all_processed, "every confirmed command processed", PATIENCE_S)
        async with await connect(self.settings.database_url) as conn:
            cursor = await conn.execute(
                "select causation::text, id::text, stream, version, position from events order by position"
            )
            stored = await cursor.fetchall()
        effects: dict[str, list[str]] = {}
        for causation, _, stream, version, _ in stored:
            effects.setdefault(stream.partition("/")[2], []).append(causation)
            assert version == len(effects[stream.partition("/")[2]]), "versions have no gap, and ascend with positions"
        assert effects == self.sent
        await self._check_published({row[1]: (row[2].partition("/")[2], row[3]) for row in stored})
        async with Client(self.settings, Registry.of([accounts])) as client:
            for account, ids in self.sent.items():
                answer = await client.ask(
                    GetBalance(account=account), after_position=stored[-1][4], timeout_s=PATIENCE_S
                )
                assert answer == Balance(cents=sum(range(1, len(ids) + 1)), deposits=len(ids))

    async def processed(self, ids: list[str]) -> int:
        """How many of these commands are in the inbox."""
        async with await connect(self.settings.database_url) as conn:
            cursor = await conn.execute("select count(*) from inbox where id = any(%s::uuid[])", (ids,))
            row = await cursor.fetchone()
            assert row is not None  # a count
            return int(row[0])

    async def are_all_processed(self) -> bool:
        """Whether each command that was sent is in the inbox."""
        ids = [id for sent in self.sent.values() for id in sent]
        return await self.processed(ids) == len(ids)

    async def _check_published(self, stored: dict[str, tuple[str, int]]) -> None:
        """At least once each; what is seen for the first time comes in order for each actor; nothing is made up."""
        missing, seen = set(stored), dict[str, int]()
        async with _channel(self.settings) as channel:
            await channel.set_qos(prefetch_count=1000)  # there may be millions
            queue = await channel.get_queue(EVENTS, ensure=False)
            async with queue.iterator(timeout=PATIENCE_S) as messages:
                while missing:
                    message = await anext(messages)
                    await message.ack()
                    id = message.message_id or ""
                    account, version = stored[id]
                    assert message.headers["version"] == version
                    if id in missing:
                        missing.discard(id)
                        assert version == seen.get(account, 0) + 1
                        seen[account] = version


async def _publish(target: aio_pika.abc.AbstractExchange, headers: dict[str, str], cents: int, id: str) -> None:
    while True:
        try:
            await target.publish(
                aio_pika.Message(
                    b'{"cents":%d}' % cents,
                    message_id=id,
                    type="accounts.Deposit",
                    content_type="application/avro+json",
                    headers=dict(headers),
                    timestamp=datetime.now(UTC),
                    delivery_mode=2,
                ),
                "accounts.Deposit",
                timeout=CONFIRM_WITHIN_S,
            )
            return
        except aio_pika.exceptions.DeliveryError:
            await asyncio.sleep(RETRY_S)  # refused: a queue has no majority just now


@asynccontextmanager
async def _channel(settings: Settings) -> AsyncGenerator[AbstractChannel]:
    connection = await aio_pika.connect(settings.broker_url, timeout=CONFIRM_WITHIN_S)
    try:
        yield await connection.channel()
    finally:
        with suppress(*BROKEN):
            await asyncio.wait_for(connection.close(), CONFIRM_WITHIN_S)
