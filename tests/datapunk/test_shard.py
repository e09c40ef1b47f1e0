"""The engine on real servers: outcomes, order, isolation, idempotence, hand-over."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from uuid import uuid4

import msgspec
import pytest

import datapunk.actor_cache
import datapunk.shard
from datapunk.client import Client
from datapunk.errors import QueryFailed
from datapunk.messages.outcome import Outcome, Status
from datapunk.messages.registry import Registry
from datapunk.settings import Settings
from datapunk.store.append import append
from datapunk.store.connection import connect
from datapunk.store.read import read_stream
from datapunk.worker import prepare
from tests.accounts.commands import Deposit, Misbehave, OpenAccount
from tests.accounts.module import accounts
from tests.accounts.queries import Balance, GetBalance
from tests.events import deposits
from tests.owning import SHARDED, Owner
from tests.raw import raw_client
from tests.working import DEADLINE_S, eventually, working


@pytest.fixture
def registry() -> Registry:
    return Registry.of([accounts])


async def balance(client: Client, account: str, after: int) -> Balance:
    answer = await client.ask(GetBalance(account=account), after_position=after)
    assert isinstance(answer, Balance)
    return answer


async def test_a_command_is_accepted_and_its_effect_can_be_read_at_once(settings: Settings) -> None:
    async with working([accounts], settings) as client:
        opened = await client.send(OpenAccount(owner="Ada"), "a")
        assert (opened.status, opened.version, opened.actor) == (Status.Accepted, 1, "accounts.account/a")
        deposited = await client.send(Deposit(cents=5), "a")
        assert deposited.version == 2
        assert len(deposited.events) == 1
        assert await balance(client, "a", deposited.position) == Balance(cents=5, deposits=1)


async def test_a_rejection_is_replied_with_code_message_and_details(settings: Settings) -> None:
    async with working([accounts], settings) as client:
        opened = await client.send(OpenAccount(owner="Ada"), "a")
        outcome = await client.send(OpenAccount(owner="Bob"), "a")
        assert (outcome.status, outcome.code, outcome.details) == (
            Status.Rejected,
            "account_exists",
            {"owner": "Ada"},
        )
        with pytest.raises(QueryFailed, match="nothing was ever put into a"):
            await client.ask(GetBalance(account="a"), after_position=opened.position)


async def test_a_command_sent_twice_happens_once_and_gets_the_same_reply(settings: Settings) -> None:
    async with working([accounts], settings) as client:
        id = uuid4()
        first = await client.send(Deposit(cents=5), "a", message_id=id)
        again = await client.send(Deposit(cents=5), "a", message_id=id)
        assert again == first
        other = uuid4()
        rejected = await client.send(Deposit(cents=-5), "a", message_id=other)
        assert await client.send(Deposit(cents=-5), "a", message_id=other) == rejected
        assert await balance(client, "a", first.position) == Balance(cents=5, deposits=1)


async def test_a_command_twice_in_one_batch_happens_once(settings: Settings, registry: Registry) -> None:
    async with raw_client(settings) as raw:
        async with working([accounts], settings):
            pass  # declares the topology
        id = str(uuid4())
        for _ in range(3):
            await raw.deposit("a", 5, message_id=id)
        async with working([accounts], settings) as client:
            outcomes = [await raw.outcome(registry) for _ in range(3)]
            assert outcomes[0] == outcomes[1] == outcomes[2]
            assert (await balance(client, "a", outcomes[0].position)).deposits == 1


async def test_one_id_of_two_tenants_is_two_commands(settings: Settings) -> None:
    id = uuid4()
    async with working([accounts], settings) as client:

        async def deposit(cents: int, tenant: str) -> Outcome:
            return await client.send(Deposit(cents=cents), "a", message_id=id, tenant=tenant)

        outcomes = [await deposit(5, "one"), await deposit(6, "two")]
        assert [(one.status, one.version) for one in outcomes] == [(Status.Accepted, 1)] * 2
        assert [await deposit(5, "one"), await deposit(6, "two")] == outcomes


async def test_one_id_of_two_tenants_in_one_batch_is_two_commands(settings: Settings, registry: Registry) -> None:
    async with raw_client(settings) as raw:
        async with working([accounts], settings):
            pass  # declares the topology
        id = str(uuid4())
        for tenant in ("one", "two", "one", "two"):
            await raw.deposit("a", 5, message_id=id, tenant=tenant)
        async with working([accounts], settings):
            one, two, *again = [await raw.outcome(registry) for _ in range(4)]
        assert [(reply.status, reply.version) for reply in (one, two)] == [(Status.Accepted, 1)] * 2
        assert one.events != two.events
        assert again == [one, two]


async def test_commands_to_one_actor_take_effect_in_the_order_they_were_sent(
    settings: Settings, registry: Registry
) -> None:
    async with raw_client(settings) as raw, working([accounts], settings):
        for number in range(300):
            await raw.deposit("a", number)
        for _ in range(300):
            assert (await raw.outcome(registry)).status is Status.Accepted
        async with await connect(settings.database_url) as conn:
            events = await read_stream(conn, "default", "accounts.account/a")
        cents = [registry.decode(event.type, event.data, "application/avro", event.schema) for event in events]
        assert [event.cents for event in cents] == list(range(300))  # type: ignore[attr-defined]


async def test_events_are_published_in_order_with_their_place(settings: Settings, registry: Registry) -> None:
    async with raw_client(settings) as raw, working([accounts], settings):
        events = await raw.follow("accounts")
        for number in range(50):
            await raw.deposit("a", number)
        seen = [await asyncio.wait_for(events.get(), 20) for _ in range(50)]
        assert [message.headers["version"] for message in seen] == list(range(1, 51))
        first = seen[0]
        assert first.routing_key == "default.accounts.account.Deposited"
        assert first.type == first.headers["cloudEvents:type"] == "accounts.Deposited"
        assert first.headers["cloudEvents:id"] == first.message_id
        assert first.body == b'{"cents":0,"balance":0}'


async def test_tenants_do_not_see_each_other(settings: Settings) -> None:
    async with working([accounts], settings) as client:
        ours = await client.send(Deposit(cents=5), "a", tenant="ours")
        theirs = await client.send(Deposit(cents=7), "a", tenant="theirs")
        assert (ours.version, theirs.version) == (1, 1)
        answer = await client.ask(GetBalance(account="a"), tenant="theirs", after_position=theirs.position)
        assert answer == Balance(cents=7, deposits=1)


@pytest.mark.parametrize("how", ["decide", "apply", "unencodable", "huge"])
async def test_a_failing_command_harms_nobody_else_in_its_batch(
    settings: Settings, registry: Registry, how: str
) -> None:
    async with raw_client(settings) as raw:
        async with working([accounts], settings):
            pass
        # All to one actor, and so in one batch once a worker comes.
        for number in range(10):
            await raw.deposit("a", 1)
            if number == 4:
                body = registry.encode(Misbehave(how=how))
                await raw.publish("accounts.commands", "accounts.Misbehave", body, headers={"actor-id": "a"})
        async with working([accounts], settings) as client:
            outcomes = [await raw.outcome(registry) for _ in range(11)]
            failed = [outcome for outcome in outcomes if outcome.status is Status.Failed]
            assert [outcome.code for outcome in failed] == ["handler_failed"]
            last = max(outcome.position for outcome in outcomes)
            assert await balance(client, "a", last) == Balance(cents=10, deposits=10)
            dead = await raw.dead_letter()
            assert dead.headers["dead-reason"] == "handler_failed"
            assert dead.body == body
            assert "Traceback" in str(dead.headers["dead-traceback"])


async def test_shards_are_shared_with_a_second_worker_and_no_command_is_lost(
    settings: Settings, registry: Registry
) -> None:
    async def owners() -> int:
        async with await connect(settings.database_url) as conn:
            cursor = await conn.execute("select count(distinct owner) from leases where group_name = 'accounts.shards'")
            row = await cursor.fetchone()
            return row[0] if row else 0

    async def both() -> bool:
        return await owners() == 2

    async with working([accounts], settings) as client:
        sending = asyncio.create_task(_deposits(client, 400))
        async with working([accounts], settings):
            await eventually(both, "two owners")
            outcomes = await sending
        more = await _deposits(client, 50)  # the second one has handed its shards back
        for number in range(10):
            last = max(o.position for o in (*outcomes, *more) if o.actor == f"accounts.account/{number}")
            assert (await balance(client, str(number), last)).deposits == 45


async def _deposits(client: Client, count: int) -> list[Outcome]:
    outcomes = [await client.send(Deposit(cents=1), str(number % 10)) for number in range(count)]
    assert all(outcome.status is Status.Accepted for outcome in outcomes)
    return outcomes


async def test_an_actor_is_restored_from_snapshot_and_later_events(settings: Settings) -> None:
    often = settings.model_copy(update={"snapshot_every": 10})
    async with working([accounts], often) as client:
        for _ in range(25):
            await client.send(Deposit(cents=1), "a")
    async with await connect(settings.database_url) as conn:
        cursor = await conn.execute("select version from snapshots where stream = 'accounts.account/a'")
        row = await cursor.fetchone()
        assert row is not None
        assert row[0] >= 20
    async with working([accounts], often) as client:
        outcome = await client.send(Deposit(cents=1), "a")
        assert outcome.version == 26
        assert await balance(client, "a", outcome.position) == Balance(cents=26, deposits=26)


async def test_large_events_lead_to_a_snapshot_sooner(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    await prepare([accounts], settings)
    async with await connect(settings.database_url) as conn:

        async def snapshots() -> list[int]:
            cursor = await conn.execute("select version from snapshots where stream = 'accounts.account/a'")
            return [row[0] for row in await cursor.fetchall()]

        before = deposits(10)
        await append(conn, before)
        size = sum(len(event.data) for event in before.events)
        monkeypatch.setattr(datapunk.actor_cache, "SNAPSHOT_BYTES", size + len(before.events[0].data))
        async with working([accounts], settings) as client:
            seen = {(await client.send(Deposit(cents=1), "a")).version: await snapshots() for _ in range(14)}
        # The 10 that were loaded count, too.
        assert seen == {11: [], **{version: [12] for version in range(12, 24)}, 24: [24]}


async def test_after_each_session_that_has_worked_the_next_one_begins_soon(
    settings: Settings, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(datapunk.shard, "RETRY_MOST_S", 3600.0)  # after 11 that haven't, it's minutes
    monkeypatch.setattr(datapunk.shard, "SWEEP_S", 3600.0)
    settings = settings.model_copy(update={"heartbeat_s": 0.1, **SHARDED})
    await prepare([accounts], settings)
    owner = await Owner.start(settings, registry)
    async with raw_client(settings) as raw:
        for version in range(1, 12):
            await raw.deposit("a", 1)
            while (await raw.outcome(registry)).version < version:
                pass  # one that was under way when it was cut off comes again
            await owner.cut(owner.broker)
    await owner.stop()


@pytest.mark.parametrize(("stored", "is_kept"), [("x" * 255, True), ("é" * 128, False)], ids=["fits", "too long"])
async def test_an_event_stored_with_too_long_a_correlation_id_is_published_with_its_commands_id(
    settings: Settings, stored: str, is_kept: bool
) -> None:
    await prepare([accounts], settings)
    batch = deposits(1)
    event = msgspec.structs.replace(batch.events[0], metadata={"correlation_id": stored})
    async with raw_client(settings) as raw, await connect(settings.database_url) as conn:
        published = await raw.follow("accounts")
        await append(conn, replace(batch, module="accounts", events=[event]))
        async with working([accounts], settings):  # it publishes what the outbox holds
            message = await asyncio.wait_for(published.get(), DEADLINE_S)
    assert message.correlation_id == (stored if is_kept else str(event.causation))
