"""Where replies are to go is up to strangers: nobody else misses one for it, and what they sent isn't handled twice."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as limits

from datapunk.broker.link import Link
from datapunk.messages.registry import Registry
from datapunk.settings import Settings
from tests.accounts.module import accounts
from tests.properties import examples
from tests.raw import PATIENCE_S, RawClient, raw_client
from tests.reply_addresses import HARMFUL, addresses, direct_consumer
from tests.working import working

REGISTRY = Registry.of([accounts])
DEPOSIT, BALANCE, UNKNOWN = "accounts.Deposit", "accounts.GetBalance", "accounts.Steal"
SESSIONS = ("accounts.consume", "accounts.publish", "accounts.queries", "unroutable")  # the links that each hangs on


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the links that are opened: a session that starts over opens its own again."""
    opened: list[str] = []
    open_link = Link.open

    async def open_and_tell(url: str, *, name: str = "datapunk", **how: Any) -> Link:
        opened.append(name)
        return await open_link(url, name=name, **how)

    monkeypatch.setattr(Link, "open", open_and_tell)
    return opened


@pytest.fixture
async def raw(settings: Settings, opened: list[str]) -> AsyncIterator[RawClient]:
    async with working([accounts], settings), raw_client(settings) as client:
        yield client


async def deposit(raw: RawClient, reply_to: str = "") -> str:
    return await raw.publish("accounts.commands", DEPOSIT, b'{"cents":1}', headers={"actor-id": "a"}, reply_to=reply_to)


async def query(raw: RawClient, reply_to: str = "") -> str:
    return await raw.publish("accounts.queries", BALANCE, b'{"account":"a"}', reply_to=reply_to)


async def steal(raw: RawClient, reply_to: str = "") -> str:
    return await raw.publish("accounts.commands", UNKNOWN, b"{}", headers={"actor-id": "a"}, reply_to=reply_to)


async def answered(raw: RawClient, count: int) -> list[str | None]:
    """The messages that the next replies are for."""
    async with asyncio.timeout(PATIENCE_S):
        return [(await raw.replies.get()).correlation_id for _ in range(count)]


async def test_a_command_whose_reply_would_break_the_connection_is_a_command_like_any(
    raw: RawClient, opened: list[str]
) -> None:
    sent = [await deposit(raw)]
    for reply_to in HARMFUL.values():
        await deposit(raw, reply_to)
        sent.append(await deposit(raw))
    assert await answered(raw, len(sent)) == sent
    await deposit(raw)
    assert (await raw.outcome(REGISTRY)).version == len(sent) + len(HARMFUL) + 1
    assert opened.count("accounts.consume") == opened.count("accounts.publish") == 1


async def test_a_query_whose_answer_would_break_the_connection_leaves_the_others_alone(
    raw: RawClient, opened: list[str]
) -> None:
    asked = {await query(raw)}
    for reply_to in HARMFUL.values():
        await query(raw, reply_to)
        asked.add(await query(raw))
    assert set(await answered(raw, len(asked))) == asked
    assert opened.count("accounts.queries") == 1


async def test_a_message_without_a_route_whose_reply_would_break_the_connection_is_kept_like_any(
    raw: RawClient, opened: list[str]
) -> None:
    sent = [await steal(raw, reply_to) for reply_to in ("", *HARMFUL.values(), "")]
    assert await answered(raw, 2) == [sent[0], sent[-1]]
    assert [(await raw.dead_letter()).message_id for _ in sent] == sent
    await steal(raw)
    await answered(raw, 1)  # what broke off would have been begun again before
    assert opened.count("unroutable") == 1


@pytest.mark.parametrize("send", [deposit, query, steal])
async def test_replies_without_a_queue_come_though_others_would_break_the_connection(
    raw: RawClient, settings: Settings, opened: list[str], send: Any
) -> None:
    async with direct_consumer(settings.broker_url) as consumer:
        sent: set[str] = set()
        for reply_to in HARMFUL.values():
            sent.add(await send(raw, consumer.name))
            await send(raw, reply_to)
            sent.add(await send(raw, consumer.name))
        async with asyncio.timeout(PATIENCE_S):
            assert {(await consumer.replies.get()).correlation_id for _ in sent} == sent
    assert all(opened.count(session) == 1 for session in SESSIONS)


@given(reply_to=addresses())
@limits(max_examples=examples(40), suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
async def test_no_reply_address_ends_a_session(raw: RawClient, opened: list[str], reply_to: str) -> None:
    for send in (deposit, query, steal):
        await send(raw, reply_to)
        good = await send(raw)
        assert await answered(raw, 1) == [good]
    assert all(opened.count(session) == 1 for session in SESSIONS)
