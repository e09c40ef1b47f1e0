"""The query server on a real RabbitMQ: side by side, bounded, whatever the handler or the asker does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aio_pika
import pytest

from datapunk.actor import Rejected
from datapunk.answering import Waiting
from datapunk.broker.rpc import CONCURRENT, WAITING, QueryServer
from datapunk.broker.topology import apply
from datapunk.messages.codec import AVRO_BINARY
from datapunk.messages.outcome import Outcome, Status
from datapunk.messages.registry import Registry
from datapunk.settings import Settings
from tests.accounts.module import accounts
from tests.accounts.queries import Balance, GetBalance
from tests.management import Management
from tests.raw import PATIENCE_S, RawClient, raw_client
from tests.working import eventually

REGISTRY = Registry.of([accounts])


class Handler:
    """Answers at once, except for accounts that are named after what is to happen."""

    def __init__(self) -> None:
        self.go = asyncio.Event()
        self.under_way = self.most_under_way = self.answered = 0
        self.asked: list[dict[str, Any]] = []

    async def __call__(self, query: GetBalance, *, waiting: Waiting, **how: Any) -> Any:
        self.asked.append(how)
        self.under_way += 1
        self.most_under_way = max(self.under_way, self.most_under_way)
        try:
            if query.account == "waiting":
                with waiting():
                    await self.go.wait()
            return await self._answer(query)
        finally:
            self.under_way -= 1
            self.answered += 1

    async def _answer(self, query: GetBalance) -> Any:
        match query.account:
            case "slow":
                await self.go.wait()
            case "large":
                return Balance(cents=2**62, deposits=2**62)
            case "unencodable":
                return Balance(cents="many", deposits=1)  # type: ignore[arg-type]
            case "nothing":
                return None
            case "crash":
                raise ZeroDivisionError("a \0 and half a pair \ud800")
            case "rejected":
                raise Rejected("no", "never")
            case "oddly rejected":
                raise Rejected("no", "never", {"why": object()})  # type: ignore[dict-item]
            case _:
                pass
        return Balance(cents=1, deposits=1)


class Server:
    def __init__(self, settings: Settings) -> None:
        self.handler = Handler()
        self.stop = asyncio.Event()
        server = QueryServer(accounts, REGISTRY, settings, self.handler)
        self.running = asyncio.create_task(server.run(self.stop))


@asynccontextmanager
async def serving(settings: Settings) -> AsyncIterator[Server]:
    await apply(settings, accounts)
    server = Server(settings)
    try:
        yield server
    finally:
        server.handler.go.set()
        server.stop.set()
        await asyncio.wait_for(server.running, PATIENCE_S)


@pytest.fixture
async def server(settings: Settings) -> AsyncIterator[Server]:
    async with serving(settings) as server:
        yield server


@pytest.fixture
async def raw(settings: Settings) -> AsyncIterator[RawClient]:
    async with raw_client(settings) as client:
        yield client


async def ask(raw: RawClient, account: str, **options: Any) -> str:
    body = REGISTRY.encode(GetBalance(account=account), options.get("content_type") or "application/avro+json")
    return await raw.publish("accounts.queries", "accounts.GetBalance", body, **options)


async def reply(raw: RawClient) -> Any:
    message = await asyncio.wait_for(raw.replies.get(), PATIENCE_S)
    schema = message.headers["schema"]
    assert isinstance(schema, str)
    return REGISTRY.decode(message.type or "", message.body, message.content_type, schema)


async def test_a_slow_query_holds_up_no_other(server: Server, raw: RawClient) -> None:
    await ask(raw, "slow")
    id = await ask(raw, "a")
    message = await asyncio.wait_for(raw.replies.get(), PATIENCE_S)
    assert (message.correlation_id, message.type) == (id, "accounts.Balance")
    server.handler.go.set()
    assert await reply(raw) == Balance(cents=1, deposits=1)


async def test_no_more_queries_are_under_way_than_the_bound(server: Server, raw: RawClient) -> None:
    for _ in range(CONCURRENT + 5):
        await ask(raw, "slow")
    await eventually(lambda: _is(server.handler.under_way == CONCURRENT), "all places taken")
    server.handler.go.set()
    for _ in range(CONCURRENT + 5):
        await reply(raw)
    assert server.handler.most_under_way == CONCURRENT


async def test_those_that_wait_for_a_position_take_no_place_until_they_are_too_many(
    server: Server, raw: RawClient
) -> None:
    for _ in range(WAITING):
        await ask(raw, "waiting")
    await eventually(lambda: _is(server.handler.under_way == WAITING), "all waiting")
    id = await ask(raw, "waiting")
    message = await asyncio.wait_for(raw.replies.get(), PATIENCE_S)
    assert message.correlation_id == id
    assert b'"code":"too_many_waiting"' in message.body
    await ask(raw, "a")
    assert await reply(raw) == Balance(cents=1, deposits=1)
    server.handler.go.set()
    for _ in range(WAITING):
        assert await reply(raw) == Balance(cents=1, deposits=1)
    await ask(raw, "waiting")
    assert await reply(raw) == Balance(cents=1, deposits=1)


async def _is(value: bool) -> bool:
    return value


async def test_stopping_lets_those_under_way_finish_and_leaves_the_rest_in_the_queue(
    settings: Settings, raw: RawClient
) -> None:
    async with serving(settings) as server:
        for _ in range(CONCURRENT + 3):
            await ask(raw, "slow")
        await eventually(lambda: _is(server.handler.under_way == CONCURRENT), "all places taken")
        server.stop.set()
        await eventually(lambda: _queue_has(raw, consumers=0), "the end of the subscription")
        server.handler.go.set()
    for _ in range(CONCURRENT):
        await reply(raw)
    await eventually(lambda: _queue_has(raw, messages=3), "the return of what wasn't begun")
    assert raw.replies.empty()


async def _queue_has(raw: RawClient, **counts: int) -> bool:
    found = (await raw.channel.declare_queue("accounts.queries", passive=True)).declaration_result
    return all(counts[what] == getattr(found, f"{what[:-1]}_count") for what in counts)


async def test_after_its_connection_is_killed_it_answers_again(
    server: Server, raw: RawClient, management: Management
) -> None:
    await ask(raw, "a")
    await reply(raw)
    await ask(raw, "slow")
    await eventually(lambda: _is(server.handler.under_way == 1), "a query under way")
    await management.kill_connection("accounts.queries")
    await eventually(lambda: _is(server.handler.answered == 2), "the end of what nobody can be told any more")
    server.handler.go.set()
    assert await reply(raw) == Balance(cents=1, deposits=1)  # of the slow one, delivered again


@pytest.mark.parametrize(
    ("account", "code", "says"),
    [
        ("unencodable", "unencodable", "cents"),
        ("nothing", "query_failed", "NoneType"),
        ("crash", "query_failed", "ZeroDivisionError: a � and half a pair ?"),
        ("oddly rejected", "query_failed", "the rejection can't be sent"),
    ],
)
async def test_what_goes_wrong_in_a_handler_is_told_to_the_asker_and_the_next_is_answered(
    server: Server, raw: RawClient, account: str, code: str, says: str
) -> None:
    await ask(raw, account)
    outcome = await reply(raw)
    assert isinstance(outcome, Outcome)
    assert (outcome.status, outcome.code) == (Status.Failed, code)
    assert says in outcome.message
    await ask(raw, "a")
    assert await reply(raw) == Balance(cents=1, deposits=1)


async def test_a_rejection_says_so(server: Server, raw: RawClient) -> None:
    await ask(raw, "rejected")
    outcome = await reply(raw)
    assert (outcome.status, outcome.code, outcome.message) == (Status.Rejected, "no", "never")


async def test_an_answer_that_is_too_large_to_send_is_refused(settings: Settings, raw: RawClient) -> None:
    small = settings.model_copy(update={"max_message_bytes": 40})
    async with serving(small):
        await ask(raw, "large")
        outcome = await reply(raw)
        assert (outcome.status, outcome.code) == (Status.Failed, "oversized")
        assert "ask for less" in outcome.message


async def test_who_asks_in_avro_binary_is_answered_in_it(server: Server, raw: RawClient) -> None:
    await ask(raw, "a", content_type=AVRO_BINARY)
    message = await asyncio.wait_for(raw.replies.get(), PATIENCE_S)
    assert (message.content_type, message.body) == (AVRO_BINARY, b"\x02\x02")


@pytest.mark.parametrize("reply_to", ["no.such.queue", "amq.rabbitmq.reply-to.garbage", "x" * 255])
async def test_an_answer_that_nobody_takes_harms_nobody(server: Server, raw: RawClient, reply_to: str) -> None:
    await ask(raw, "a", reply_to=reply_to)
    await ask(raw, "a")
    assert await reply(raw) == Balance(cents=1, deposits=1)


async def test_a_reply_queue_that_refuses_answers_harms_nobody(server: Server, raw: RawClient) -> None:
    full = await raw.channel.declare_queue(
        exclusive=True, arguments={"x-max-length": 1, "x-overflow": "reject-publish"}
    )
    for _ in range(3):
        await ask(raw, "a", reply_to=full.name)
    await ask(raw, "a")
    assert await reply(raw) == Balance(cents=1, deposits=1)


async def test_the_brokers_own_reply_queue_will_do(server: Server, settings: Settings) -> None:
    async with await aio_pika.connect(settings.broker_url) as connection:
        channel = await connection.channel(publisher_confirms=False)
        replies: asyncio.Queue[Any] = asyncio.Queue()
        direct = await channel.get_queue("amq.rabbitmq.reply-to", ensure=False)
        await direct.consume(replies.put, no_ack=True)
        await ask(RawClient(channel, replies, "amq.rabbitmq.reply-to"), "a")
        assert (await asyncio.wait_for(replies.get(), PATIENCE_S)).type == "accounts.Balance"


async def test_the_askers_patience_and_position_are_handed_on(server: Server, raw: RawClient) -> None:
    await ask(raw, "a", headers={"timeout-ms": 1500, "after-position": 7, "tenant": "acme"})
    await reply(raw)
    assert server.handler.asked == [{"tenant": "acme", "after": 7, "timeout_s": 1.5}]


async def test_nobody_is_more_patient_than_the_setting(server: Server, raw: RawClient, settings: Settings) -> None:
    await ask(raw, "a", headers={"timeout-ms": 10**9})
    await reply(raw)
    assert server.handler.asked[0]["timeout_s"] == settings.query_timeout_s


async def test_a_query_that_names_no_tenant_is_the_default_tenants(settings: Settings, raw: RawClient) -> None:
    async with serving(settings.model_copy(update={"default_tenant": "acme"})) as server:
        await ask(raw, "a")
        await reply(raw)
        assert server.handler.asked[0]["tenant"] == "acme"
