"""A query whose answers are cached, as its module declares and its callers see it."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from prometheus_client import REGISTRY

from datapunk import Cached, answers
from datapunk.errors import ConfigurationError, QueryFailed
from datapunk.messages.registry import Registry
from datapunk.module import Module
from datapunk.rebuild import rebuild
from datapunk.settings import Settings
from datapunk.store.connection import connect
from datapunk.testing import Platform
from datapunk.testing.platform import running_platform
from tests.accounts.balances import Balances, get_balance
from tests.accounts.commands import Deposit
from tests.accounts.events import Deposited
from tests.accounts.module import accounts
from tests.accounts.queries import Balance, GetBalance
from tests.projecting import set_paused
from tests.working import eventually

KEY: Callable[[Any], str] = lambda query: query.account  # noqa: E731
WAYS = {
    "by the actor": Cached(key=KEY, touched_by_actor={Deposited: lambda id: id}),
    "by the event": Cached(key=KEY, touched_by={Deposited: lambda recorded: recorded.actor}),
}


def with_cache(way: str) -> list[Module]:
    return [dataclasses.replace(accounts, queries=[dataclasses.replace(get_balance, cached=WAYS[way])])]


MODULES = with_cache("by the actor")


@pytest.fixture
def modules(request: pytest.FixtureRequest) -> list[Module]:
    return with_cache(getattr(request, "param", "by the actor"))


@pytest.fixture
def settings(settings: Settings, redis_url: str) -> Settings:
    return settings.model_copy(update={"redis_url": redis_url})


@pytest.fixture
async def platform(modules: list[Module], settings: Settings) -> AsyncIterator[Platform]:
    """At work, with a deposit."""
    async with running_platform(modules, settings) as platform:
        await platform.send(Deposit(cents=5), "a")
        yield platform


def local() -> float:
    """Look-ups that were answered from memory in this process."""
    found = {"cache": "accounts.GetBalance", "result": "local"}
    return REGISTRY.get_sample_value("cache_lookups_total", found) or 0.0


async def cents(platform: Platform, account: str = "a") -> int:
    """As it's known, be it from memory."""
    answer = await platform.client.ask(GetBalance(account=account))
    assert isinstance(answer, Balance)
    return answer.cents


async def cached(platform: Platform) -> None:
    """Until answers come from memory."""

    async def is_cached() -> bool:
        before = local()
        await platform.ask(GetBalance(account="a"))
        return local() > before

    await eventually(is_cached, "answers come from memory")


@pytest.mark.parametrize("modules", WAYS, indirect=True)
async def test_an_answer_is_kept_until_an_event_touches_it(platform: Platform) -> None:
    await cached(platform)
    assert await cents(platform) == 5
    await platform.send(Deposit(cents=2), "a")

    async def is_anew() -> bool:
        return await cents(platform) == 7

    await eventually(is_anew, "the answer is the new one")
    await cached(platform)
    assert await cents(platform) == 7


async def test_who_asks_after_an_own_command_gets_what_it_did(platform: Platform) -> None:
    await cached(platform)
    for total in range(6, 12):
        await platform.send(Deposit(cents=1), "a")
        assert await platform.ask(GetBalance(account="a")) == Balance(cents=total, deposits=total - 4)


async def test_a_tenant_gets_no_answer_of_another_ones(platform: Platform) -> None:
    await cached(platform)
    await platform.send(Deposit(cents=3), "a", tenant="theirs")
    assert await platform.ask(GetBalance(account="a"), tenant="theirs") == Balance(cents=3, deposits=1)


async def test_a_no_is_not_kept(platform: Platform) -> None:
    await cached(platform)
    with pytest.raises(QueryFailed, match="nothing was ever put"):
        await cents(platform, "b")
    await platform.send(Deposit(cents=4), "b")
    assert await platform.ask(GetBalance(account="b")) == Balance(cents=4, deposits=1)


async def test_an_event_is_told_once_the_projection_has_applied_it(platform: Platform) -> None:
    await cached(platform)
    async with await connect(platform.settings.database_url) as conn:
        await set_paused(conn, True)
        await platform.send(Deposit(cents=2), "a")
        before = local()

        async def was_asked_often() -> bool:  # while one that doesn't wait would tell of it
            await cents(platform)
            return local() > before + 30

        await eventually(was_asked_often, "it was asked often")
        await set_paused(conn, False)

    async def is_anew() -> bool:
        return await cents(platform) == 7

    await eventually(is_anew, "the answer is the new one")


async def test_after_a_rebuild_answers_are_those_of_the_new_tables(platform: Platform) -> None:
    await platform.ask(GetBalance(account="a"))  # applied
    async with await connect(platform.settings.database_url) as conn:
        await conn.execute("update accounts_balances.balances set cents = 9")  # as a defect would
    await cached(platform)
    assert await cents(platform) == 9
    await rebuild(Balances(), Registry.of(MODULES), platform.settings)

    async def is_right() -> bool:
        return await cents(platform) == 5

    await eventually(is_right, "the answer is of the new tables")


def test_a_query_that_forgets_an_event_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"whose answer accounts.Deposited changes"):
        answers(GetBalance, Balances, cached=Cached(key=KEY))


async def test_without_redis_answers_are_right(settings: Settings, free_tcp_port: int) -> None:
    away = settings.model_copy(update={"redis_url": f"redis://127.0.0.1:{free_tcp_port}/0"})
    async with running_platform(MODULES, away) as platform:
        for total in range(1, 4):
            await platform.send(Deposit(cents=1), "a")
            assert await platform.ask(GetBalance(account="a")) == Balance(cents=total, deposits=total)
            assert await cents(platform) == total
