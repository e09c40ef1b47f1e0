"""kill -9 at the engine's weak points: nothing is lost, nothing happens twice."""

from __future__ import annotations

import asyncio
import signal

import pytest

from datapunk.client import Client
from datapunk.messages.registry import Registry
from datapunk.settings import Settings
from datapunk.store.connection import connect
from datapunk.worker import prepare
from tests.accounts.module import accounts
from tests.accounts.queries import Balance, GetBalance
from tests.raw import raw_client
from tests.working import eventually, worker_process

COMMANDS = 60


@pytest.mark.parametrize("point", ["before_commit", "after_commit", "after_publish", "after_confirm", "before_ack"])
@pytest.mark.parametrize("batch", [1, 2])
async def test_a_worker_killed_at_any_point_loses_and_doubles_nothing(
    settings: Settings, point: str, batch: int
) -> None:
    registry, _ = await prepare([accounts], settings)
    async with raw_client(settings) as raw:
        events = await raw.follow("accounts")
        sent = [await raw.deposit(str(number % 5), 1) for number in range(COMMANDS)]
        async with worker_process(settings, crash_at=f"{point}:{batch}") as doomed:
            if batch == 2:
                sent += [await raw.deposit(str(number % 5), 1) for number in range(COMMANDS)]
                while doomed.returncode is None:  # a second batch comes for sure only with more commands
                    sent.append(await raw.deposit("0", 1))
                    await asyncio.sleep(0.01)
            assert await asyncio.wait_for(doomed.wait(), 30) == -signal.SIGKILL
        async with worker_process(settings):
            await _check(settings, registry, sent, events)


async def _check(settings: Settings, registry: Registry, sent: list[str], events: asyncio.Queue) -> None:  # type: ignore[type-arg]
    async def all_processed() -> bool:
        async with await connect(settings.database_url) as conn:
            cursor = await conn.execute("select count(*) from inbox where id = any(%s::uuid[])", (sent,))
            row = await cursor.fetchone()
            return bool(row and row[0] == len(sent))

    await eventually(all_processed, "every command processed")
    async with await connect(settings.database_url) as conn:
        cursor = await conn.execute(
            "select causation::text, id::text, stream, version, position from events order by position"
        )
        stored = await cursor.fetchall()
    # Each command led to exactly one event, and versions have no gap.
    assert sorted(row[0] for row in stored) == sorted(sent)
    versions: dict[str, int] = {}
    for _, _, stream, version, _ in stored:
        assert version == versions.get(stream, 0) + 1
        versions[stream] = version
    # Every event was published at least once; first sights are in order for each actor.
    wanted = {row[1] for row in stored}
    seen: dict[str, int] = {}
    while wanted:
        message = await asyncio.wait_for(events.get(), 30)
        if message.message_id in wanted:
            wanted.discard(message.message_id)
            actor = message.headers["actor-id"]
            assert message.headers["version"] == seen.get(actor, 0) + 1
            seen[actor] = message.headers["version"]
    # And the projection equals the events.
    last = stored[-1][4]
    async with Client(settings, registry) as client:
        for account in range(5):
            answer = await client.ask(GetBalance(account=str(account)), after_position=last, timeout_s=20)
            deposits = versions[f"accounts.account/{account}"]
            assert answer == Balance(cents=deposits, deposits=deposits)
