"""The keeper: whatever was put aside, by whomever and for whatever reason, is kept and recorded, once."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from uuid import uuid4

import aio_pika
import pytest

from datapunk.broker.dead_letter import DEAD
from datapunk.broker.topology import apply
from datapunk.settings import Settings
from datapunk.store.connection import connect
from schemas.nexus.types import DeadLetterKind, DeadLetterState
from tests.accounts.module import accounts
from tests.actors.nexus.letters import Letters, keeping
from tests.datapunk.broker.raw_amqp import RawAmqp
from tests.datapunk.broker.test_unreadable import (
    GROWING,
    HEADERS,
    ID,
    MESSAGE_ID,
    MODE,
    PERSISTENT,
    UNREADABLE,
    flags,
    long,
)
from tests.datapunk.test_bad_input import CASES
from tests.raw import raw_client
from tests.working import eventually, worker_process

KINDS = {
    "unknown_schema": DeadLetterKind.Schema,
    "unknown_type": DeadLetterKind.Schema,
    "oversized": DeadLetterKind.Oversized,
}


@pytest.fixture
async def letters(settings: Settings) -> AsyncIterator[Letters]:
    async with keeping(settings) as letters:
        yield letters


async def test_every_kind_of_bad_message_is_kept_as_it_came(letters: Letters) -> None:
    sent = {}
    for bad in CASES.values():
        id = await letters.raw.publish(
            "accounts.commands", bad.routing_key, bad.body, headers=bad.headers, **bad.options
        )
        sent[id] = bad
    parked = await letters.parked(len(CASES))
    assert len(parked) == len(CASES)
    for summary in parked:
        bad = sent.pop(summary.message_id or "")
        found = await letters.get(summary.id)
        assert (summary.module, summary.reason) == ("accounts", bad.code)
        assert bad.says in summary.message
        assert summary.kind is KINDS.get(bad.code, DeadLetterKind.Poison)
        assert (found.body, summary.size) == (bad.body[: 1024 * 1024], len(bad.body))
        assert found.is_cut is (len(bad.body) > 1024 * 1024)
    assert sent == {}


async def test_what_cannot_be_read_is_kept_byte_by_byte(letters: Letters, settings: Settings) -> None:
    nobody_reads = [properties for name, properties in UNREADABLE.items() if name != "headers of 100 KB"]
    with RawAmqp(settings.broker_url) as raw:
        for properties in nobody_reads:
            raw.publish("accounts.commands", "accounts.Deposit", properties, b"?")
    parked = await letters.parked(len(nobody_reads))
    assert len(parked) == len(nobody_reads)
    for summary in parked:
        found = await letters.get(summary.id)
        assert (summary.reason, summary.kind, found.body) == ("unreadable", DeadLetterKind.Poison, b"?")
        assert found.properties == "null"
        assert summary.message


async def test_larger_headers_than_commands_may_have_are_kept(letters: Letters, settings: Settings) -> None:
    with RawAmqp(settings.broker_url) as raw:
        raw.publish("accounts.commands", "accounts.Deposit", UNREADABLE["headers of 100 KB"], b"?")
    (summary,) = await letters.parked()
    assert summary.reason == "rejected"
    assert json.loads((await letters.get(summary.id)).properties)["headers"]["big"] == "x" * 100_000


async def test_what_cannot_be_written_again_is_kept(letters: Letters, settings: Settings) -> None:
    with RawAmqp(settings.broker_url) as raw:
        properties = flags(HEADERS, MODE, ID) + long(GROWING) + PERSISTENT + MESSAGE_ID
        raw.publish("accounts.commands", "accounts.Deposit", properties, b"?")
    (summary,) = await letters.parked()
    assert (summary.reason, summary.kind) == ("rejected", DeadLetterKind.ByBroker)
    assert len(json.loads((await letters.get(summary.id)).properties)["headers"]["many"]) == 30_000


async def test_what_the_broker_moved_is_kept_with_its_reason(letters: Letters) -> None:
    death = {"queue": "accounts.commands.3", "reason": "delivery_limit", "exchange": "accounts.commands", "count": 1}
    death |= {"routing-keys": ["accounts.Deposit"]}
    headers = {"actor-id": "a", "x-death": [death]}
    id = await letters.raw.publish(DEAD, "accounts.by_broker", b"{}", headers=headers, type="accounts.Deposit")
    (summary,) = await letters.parked()
    found = await letters.get(summary.id)
    assert (summary.reason, summary.kind, summary.message_id) == ("delivery_limit", DeadLetterKind.ByBroker, id)
    assert summary.state is DeadLetterState.Retrying
    letter = found.letter
    assert (letter.exchange, letter.routing_key, letter.queue) == (
        "accounts.commands",
        "accounts.Deposit",
        "accounts.commands.3",
    )


async def test_what_the_broker_gives_up_since_its_consumers_die_is_kept_as_it_came(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("datapunk.broker.topology.DELIVERY_LIMIT", 3)
    await apply(settings, accounts)
    async with raw_client(settings) as raw:
        id = await raw.publish(
            "accounts.commands", "accounts.Deposit", b'{"cents":5}', headers={"actor-id": "a", "mine": "kept"}
        )
    for _ in range(4):
        await die_of_a_command(settings)
    async with keeping(settings) as letters:
        await is_kept(letters, id, b'{"cents":5}', "delivery_limit", DeadLetterKind.ByBroker)


async def test_what_expires_where_nobody_takes_it_is_kept_as_it_came(settings: Settings) -> None:
    await apply(settings, accounts)
    async with raw_client(settings) as raw:
        id = await raw.publish(
            "accounts.commands",
            "accounts.Deposit",
            b'{"cents":5}',
            headers={"actor-id": "a", "mine": "kept"},
            expiration_s=0.01,
        )
        await eventually_holds(raw.channel, "accounts.dead", 1)
    async with keeping(settings) as letters:
        await is_kept(letters, id, b'{"cents":5}', "expired", DeadLetterKind.Expired)


async def die_of_a_command(settings: Settings) -> None:
    """A consumer is given a command, and is gone."""
    given: asyncio.Queue[aio_pika.abc.AbstractIncomingMessage] = asyncio.Queue()
    async with await aio_pika.connect(settings.broker_url) as connection:
        channel = await connection.channel()
        for shard in range(settings.shards):
            queue = await channel.get_queue(f"accounts.commands.{shard}", ensure=False)
            await queue.consume(given.put)
        await asyncio.wait_for(given.get(), 60)


async def is_kept(letters: Letters, message_id: str, body: bytes, reason: str, kind: DeadLetterKind) -> None:
    """One that the broker itself moved from a shard of accounts."""
    (summary,) = await letters.parked()
    found = await letters.get(summary.id)
    assert (summary.message_id, summary.reason, summary.kind) == (message_id, reason, kind)
    assert (found.body, summary.actor, summary.type) == (body, "a", "accounts.Deposit")
    assert json.loads(found.properties)["headers"]["mine"] == "kept"
    assert (found.letter.exchange, found.letter.routing_key) == ("accounts.commands", "accounts.Deposit")
    assert found.letter.queue.startswith("accounts.commands.")


async def test_what_belongs_to_no_module_is_kept(letters: Letters) -> None:
    await letters.raw.publish("", "unroutable", b"lost?")
    (summary,) = await letters.parked()
    assert (summary.module, summary.reason) == ("unroutable", "unknown_type")


async def test_what_was_put_aside_by_nobody_of_ours_is_kept(letters: Letters) -> None:
    await letters.raw.publish("", "accounts.dead", b"by hand")
    (summary,) = await letters.parked()
    assert (summary.reason, (await letters.get(summary.id)).body) == ("by_broker", b"by hand")


async def test_one_with_the_id_of_another_is_kept_under_an_id_of_its_own(letters: Letters) -> None:
    headers = {"dead-id": str(uuid4()), "dead-reason": "poison", "dead-at": datetime.now(UTC).isoformat()}
    for body in (b"first", b"second"):
        await letters.raw.publish(DEAD, "accounts.poison", body, headers=headers)
    await letters.raw.publish(DEAD, "accounts.poison", b"third", headers={**headers, "dead-attempt": 7})
    parked = await letters.parked(3)
    assert {(await letters.get(each.id)).body for each in parked} == {b"first", b"second", b"third"}


async def test_a_letter_that_comes_twice_is_recorded_once(letters: Letters) -> None:
    headers = {"dead-id": str(uuid4()), "dead-reason": "poison", "dead-at": datetime.now(UTC).isoformat()}
    for _ in range(2):
        await letters.raw.publish(
            DEAD, "accounts.poison", b"same", headers=headers, message_id="7d444840-9dc0-11d1-b245-5ffdce74fad2"
        )
    await letters.raw.publish(DEAD, "accounts.poison", b"last")
    assert {(await letters.get(each.id)).body for each in await letters.parked(2)} == {b"same", b"last"}
    assert len(await letters.find()) == 2


async def test_a_command_that_is_sent_twice_is_one_letter(letters: Letters) -> None:
    id = await letters.raw.deposit("a", 1, body=b"same")
    await letters.raw.deposit("a", 1, body=b"same", message_id=id)
    await letters.raw.deposit("a", 1, body=b"last")
    assert await bodies(letters, 2) == [b"last", b"same"]


async def test_messages_of_the_same_bytes_and_no_id_are_letters_of_their_own(letters: Letters) -> None:
    for _ in range(2):
        await letters.raw.deposit("a", 1, body=b"same", message_id="")
    assert await bodies(letters, 2) == [b"same", b"same"]


async def test_one_that_claims_the_id_of_a_message_is_kept_beside_it(letters: Letters) -> None:
    id = await letters.raw.deposit("a", 1, body=b"honest")
    (honest,) = await letters.parked()
    headers = {"dead-id": str(honest.id), "dead-reason": "poison", "actor-id": "a"}
    await letters.raw.publish(DEAD, "accounts.poison", b"another", headers=headers, message_id=id)
    assert await bodies(letters, 2) == [b"another", b"honest"]


async def test_letters_are_listed_in_the_order_in_which_they_were_put_aside(letters: Letters) -> None:
    for n in range(20):
        await letters.raw.deposit("a", 1, body=b"%d" % n)
    await letters.parked(20)
    listed = await letters.find(limit=7)
    assert [(await letters.get(each.id)).body for each in listed] == [b"%d" % n for n in reversed(range(20))]


async def test_a_message_whose_worker_dies_before_it_acknowledges_it_is_one_letter(settings: Settings) -> None:
    await apply(settings, accounts)
    async with worker_process(settings, crash_at="before_ack") as process, raw_client(settings) as raw:
        for n in range(5):
            await raw.deposit("a", 1, body=b"bad %d" % n)
        assert await asyncio.wait_for(process.wait(), 60) == -9
        before = await raw.channel.declare_queue("accounts.dead", passive=True)
        assert before.declaration_result.message_count > 0
    async with keeping(settings) as letters:
        await letters.raw.deposit("a", 1, body=b"last")  # by its shard's order, all others are put aside again before
        assert await bodies(letters, 6) == [b"bad %d" % n for n in range(5)] + [b"last"]
    async with await connect(settings.database_url) as conn:
        cursor = await conn.execute("select count(*) from originals")
        assert await cursor.fetchone() == (6,)


async def bodies(letters: Letters, count: int) -> list[bytes]:
    """Of all letters, once so many are there."""
    await letters.parked(count)
    return sorted([(await letters.get(each.id)).body for each in await letters.find()])


async def test_a_flood_of_one_cause_is_a_crowd(settings: Settings) -> None:
    async with keeping(settings.model_copy(update={"dead_letter_crowd": 3})) as letters:
        for n in range(5):
            await letters.raw.deposit(f"a{n}", 1, body=b"?")
        await letters.raw.publish("accounts.commands", "accounts.OpenAccount", b"?", headers={"actor-id": "a"})
        parked = await letters.parked(6)
        assert sum(each.is_crowded for each in parked if each.type == "accounts.Deposit") == 2
        assert [each.is_crowded for each in parked if each.type == "accounts.OpenAccount"] == [False]
        counts = (await letters.counts()).counts
        assert [(each.type, each.reason, each.count) for each in counts] == [
            ("accounts.Deposit", "undecodable", 5),
            ("accounts.OpenAccount", "undecodable", 1),
        ]


@pytest.mark.parametrize("point", ["keeper_kept", "keeper_sent"])
async def test_a_keeper_that_is_killed_between_its_steps_loses_nothing_and_doubles_nothing(
    settings: Settings, point: str
) -> None:
    await apply(settings, accounts)
    async with raw_client(settings) as raw, worker_process(settings, arguments=["tests.accounts.module:accounts"]):
        for n in range(20):
            await raw.deposit(f"a{n}", 1, body=b"bad %d" % n)
        queue = await raw.channel.declare_queue("accounts.dead", passive=True)
        await eventually_holds(raw.channel, queue.name, 20)
    names = ["tests.accounts.module:accounts,actors.nexus.module:nexus"]
    async with worker_process(settings, crash_at=point, arguments=names) as process:
        assert await asyncio.wait_for(process.wait(), 60) == -9
    async with keeping(settings) as letters:
        parked = await letters.parked(20)
        assert {(await letters.get(each.id)).body for each in parked} == {b"bad %d" % n for n in range(20)}
        assert len(parked) == 20
    async with await connect(settings.database_url) as conn:
        cursor = await conn.execute("select count(*) from originals")
        assert await cursor.fetchone() == (20,)


async def eventually_holds(channel: aio_pika.abc.AbstractChannel, queue: str, count: int) -> None:
    async def look() -> bool:
        declared = await channel.declare_queue(queue, passive=True)
        return declared.declaration_result.message_count == count

    await eventually(look, f"{queue} holds {count}")
