"""The client on a real broker: reconnects by itself, says clearly what went wrong, keeps to its window."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, asynccontextmanager, closing
from uuid import uuid4

import pytest

from datapunk.broker.topology import command_queue
from datapunk.client import Client, Sending
from datapunk.errors import ConnectionLost, QueryFailed, ReplyTimeout, UnknownSchema
from datapunk.messages.outcome import Outcome, Status
from datapunk.messages.registry import Registry
from datapunk.settings import Settings
from datapunk.stack.ports import free_ports
from datapunk.subscription import ReceivedEvent
from datapunk.worker import prepare
from tests.accounts.commands import Deposit, OpenAccount
from tests.accounts.events import Deposited
from tests.accounts.module import accounts
from tests.accounts.queries import Balance, GetBalance
from tests.chaos.next_accounts.commands import Deposit as NextDeposit
from tests.chaos.next_accounts.module import next_accounts
from tests.management import Management
from tests.proxy import proxy_to
from tests.raw import RawClient, raw_client
from tests.working import DEADLINE_S, eventually, working

REGISTRY = Registry.of([accounts])


@pytest.fixture
async def client(settings: Settings) -> AsyncIterator[Client]:
    async with working([accounts], settings) as client:
        yield client


@pytest.fixture
def management(settings: Settings) -> Iterator[Management]:
    with closing(Management.of(settings.broker_url)) as management:
        yield management


async def test_after_its_connection_is_killed_it_sends_asks_and_hears_replies_again(
    client: Client, management: Management
) -> None:
    await client.send(Deposit(cents=1), "a")
    await management.kill_connection("client")

    async def sent() -> Outcome | None:
        try:
            return await client.send(Deposit(cents=1), "b", timeout_s=2)
        except (ConnectionLost, ReplyTimeout):
            return None

    outcome = await eventually(sent, "a reply after the kill")
    assert outcome.status is Status.Accepted
    assert isinstance(await client.ask(GetBalance(account="b"), after_position=outcome.position), Balance)


async def test_a_command_whose_reply_was_lost_is_answered_when_it_is_sent_again(settings: Settings) -> None:
    await prepare([accounts], settings)
    id = uuid4()
    async with proxy_to(settings.broker_url) as proxy, raw_client(settings) as raw:
        through = settings.model_copy(update={"broker_url": proxy.url})
        async with Client(through, REGISTRY) as client:
            waiting = asyncio.ensure_future(client.send(Deposit(cents=1), "a", message_id=id, timeout_s=8))

            async def is_queued() -> bool:
                names = [command_queue("accounts", shard) for shard in range(settings.shards)]
                queues = [await raw.channel.declare_queue(name, passive=True) for name in names]
                return any(queue.declaration_result.message_count for queue in queues)

            await eventually(is_queued, "the command in its shard")
            await proxy.disconnect()  # and with it goes the queue for the reply
            async with working([accounts], settings) as other:
                with pytest.raises(ReplyTimeout, match=f"no reply to command {id} in 8 s"):
                    await waiting
                again = await other.send(Deposit(cents=1), "a", message_id=id)
                assert (again.status, again.version) == (Status.Accepted, 1)


async def test_a_subscription_goes_on_after_the_connection_is_killed(client: Client, management: Management) -> None:
    received: asyncio.Queue[ReceivedEvent] = asyncio.Queue()

    async def follow() -> None:
        async for event in client.subscribe("#", "accounts"):
            received.put_nowait(event)

    following = asyncio.create_task(follow())

    async def deposited() -> ReceivedEvent | None:
        await client.send(Deposit(cents=1), "a", timeout_s=2)
        return None if received.empty() else received.get_nowait()

    async def deposited_despite_all() -> ReceivedEvent | None:
        try:
            return await deposited()
        except (ConnectionLost, ReplyTimeout):
            return None

    try:
        first = await eventually(deposited, "an event")
        assert isinstance(first.event, Deposited)
        await management.kill_connection("client")
        while not received.empty():
            received.get_nowait()
        again = await eventually(deposited_despite_all, "an event after the kill")
        assert again.headers["position"] > first.headers["position"]
    finally:
        following.cancel()


async def test_an_event_comes_with_its_routing_key_headers_and_time(client: Client) -> None:
    events = client.subscribe("*.accounts.account.AccountOpened", "accounts")
    first = asyncio.ensure_future(anext(events))
    outcome = None
    while not first.done():  # until the subscription is there
        outcome = await client.send(OpenAccount(owner="Ada"), str(uuid4()))
        await asyncio.wait({first}, timeout=0.05)
    event = await first
    assert outcome is not None
    assert event.routing_key == "default.accounts.account.AccountOpened"
    assert event.type == "accounts.AccountOpened"
    assert event.headers["version"] == 1
    assert event.at is not None
    await events.aclose()  # type: ignore[attr-defined]


async def test_where_nobody_runs_the_module_the_timeout_says_so(settings: Settings) -> None:
    await prepare([accounts], settings)
    async with Client(settings, REGISTRY) as client:
        with pytest.raises(ReplyTimeout, match="is somebody running the module"):
            await client.send(Deposit(cents=1), "a", timeout_s=0.2)
        with pytest.raises(ReplyTimeout, match=r"no reply to query accounts\.GetBalance"):
            await client.ask(GetBalance(account="a"), timeout_s=0.2)


async def test_where_the_module_was_never_there_the_error_names_what_to_run(settings: Settings) -> None:
    async with Client(settings, REGISTRY) as client:
        with pytest.raises(ConnectionLost, match=r"no exchange accounts\.commands .*datapunk run accounts"):
            await client.send(Deposit(cents=1), "a")


async def test_a_failed_publish_does_no_harm_to_the_next(settings: Settings) -> None:
    async with Client(settings, REGISTRY) as client:
        with pytest.raises(ConnectionLost):
            await client.send(Deposit(cents=1), "a")
        async with working([accounts], settings):

            async def sent() -> bool:
                try:
                    return (await client.send(Deposit(cents=1), "a", timeout_s=5)).status is Status.Accepted
                except ConnectionLost:
                    return False

            assert await eventually(sent, "a command that is accepted")


async def test_where_no_broker_is_the_error_says_so(settings: Settings) -> None:
    away = settings.model_copy(update={"broker_url": "amqp://guest:guest@127.0.0.1:1/"})
    with pytest.raises(ConnectionLost, match="no broker answers"):
        async with Client(away, REGISTRY):
            pass


async def test_while_the_broker_is_away_sending_fails_in_time_and_works_once_it_is_back(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("datapunk.client.CONNECT_TIMEOUT_S", 1.0)
    async with proxy_to(settings.broker_url) as proxy, working([accounts], settings):
        through = settings.model_copy(update={"broker_url": proxy.url})
        async with Client(through, REGISTRY) as client:
            await client.send(Deposit(cents=1), "a")
            await proxy.disconnect()
            with pytest.raises(ConnectionLost):
                await client.send(Deposit(cents=1), "a")
            await proxy.connect()

            async def sent() -> bool:
                try:
                    return (await client.send(Deposit(cents=1), "a", timeout_s=2)).status is Status.Accepted
                except (ConnectionLost, ReplyTimeout):
                    return False

            assert await eventually(sent, "a command that is accepted")


async def test_whoever_waits_for_a_reply_when_the_client_closes_is_told(settings: Settings) -> None:
    await prepare([accounts], settings)
    async with Client(settings, REGISTRY) as client:
        waiting = asyncio.ensure_future(client.send(Deposit(cents=1), "a"))
        await eventually(lambda: _has_message(settings), "the command in its queue")
    with pytest.raises(ConnectionLost, match="the client was closed"):
        await asyncio.wait_for(waiting, DEADLINE_S)


async def _has_message(settings: Settings) -> bool:
    async with raw_client(settings) as raw:
        return sum(await _counts(raw, settings)) > 0


async def _counts(raw: RawClient, settings: Settings) -> list[int]:
    queues = [
        await raw.channel.declare_queue(f"accounts.commands.{shard}", passive=True) for shard in range(settings.shards)
    ]
    return [queue.declaration_result.message_count or 0 for queue in queues]


async def test_a_window_of_commands_is_under_way_and_no_more(settings: Settings) -> None:
    await prepare([accounts], settings)
    sendings = [Sending(Deposit(cents=1), f"account-{number}", uuid4()) for number in range(20)]
    async with Client(settings, REGISTRY) as client, raw_client(settings) as raw:
        outcomes = client.send_many(sendings, window=6)
        first = asyncio.ensure_future(anext(outcomes))

        async def six_wait() -> bool:
            return sum(await _counts(raw, settings)) == 6

        await eventually(six_wait, "a full window")
        async with working([accounts], settings):
            found = [await first, *[one async for one in outcomes]]
    assert {sending.message_id for sending, _ in found} == {sending.message_id for sending in sendings}
    assert all(outcome.command_id == sending.message_id for sending, outcome in found)


async def test_an_error_in_an_answer_has_its_code(client: Client) -> None:
    outcome = await client.send(Deposit(cents=1), "a")
    with pytest.raises(QueryFailed) as caught:
        await client.ask(GetBalance(account="nobody"), after_position=outcome.position)
    assert caught.value.error_code == "account_unknown"


async def test_a_message_that_names_no_tenant_is_the_default_tenants(settings: Settings) -> None:
    acme = settings.model_copy(update={"default_tenant": "acme"})
    async with working([accounts], acme) as client, raw_client(acme) as raw:
        assert (await client.send(Deposit(cents=1), "a")).version == 1
        await raw.deposit("a", 1)
        assert (await raw.outcome(REGISTRY)).version == 2
        outcome = await client.send(Deposit(cents=1), "a", tenant="acme")
        assert outcome.version == 3
        answer = await client.ask(GetBalance(account="a"), after_position=outcome.position)
        assert answer == Balance(cents=3, deposits=3)


async def test_all_who_send_the_same_command_at_once_get_its_outcome(settings: Settings) -> None:
    async with working([accounts], settings) as client:
        id = uuid4()
        outcomes = await asyncio.gather(*(client.send(Deposit(cents=1), "a", message_id=id) for _ in range(5)))
        assert [outcome.version for outcome in outcomes] == [1] * 5


@asynccontextmanager
async def received_of_an_older_release(settings: Settings, theirs: Settings) -> AsyncIterator[ReceivedEvent]:
    """A newer release's event, as a client of an older one gets it that has these settings."""
    async with (
        working([next_accounts], settings) as newer,
        Client(theirs, Registry.of([accounts])) as older,
        aclosing(older.subscribe("#", "accounts")) as events,  # type: ignore[type-var]
    ):
        receiving = asyncio.ensure_future(anext(events))
        while not receiving.done():  # until it follows
            await newer.send(NextDeposit(cents=5, currency="EUR"), "a")
            await asyncio.wait({receiving}, timeout=0.1)
        yield receiving.result()


async def test_a_subscriber_reads_the_events_of_a_newer_release(settings: Settings) -> None:
    async with received_of_an_older_release(settings, settings) as received:
        assert isinstance(received.event, Deposited)
        assert received.event.cents == 5


async def test_without_the_database_a_newer_event_comes_all_the_same_and_says_what_is_missing(
    settings: Settings,
) -> None:
    (port,) = free_ports(1)
    away = settings.model_copy(update={"database_url": f"postgresql://127.0.0.1:{port}/none"})
    async with received_of_an_older_release(settings, away) as received:
        assert b'"EUR"' in received.body
        with pytest.raises(UnknownSchema, match="no schema with fingerprint"):
            _ = received.event
