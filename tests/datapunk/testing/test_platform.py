"""The fixture `platform`: modules at work, with servers of a test's own."""

from __future__ import annotations

import pytest

from datapunk.errors import QueryFailed
from datapunk.messages.outcome import Status
from datapunk.module import Module
from datapunk.settings import load_settings
from datapunk.testing import Ids, Platform
from datapunk.testing import platform as platforms
from tests.accounts.commands import Deposit, OpenAccount
from tests.accounts.events import AccountOpened, Deposited
from tests.accounts.module import accounts
from tests.accounts.queries import Balance, GetBalance


@pytest.fixture
def modules() -> list[Module]:
    return [accounts]


async def test_an_answer_reflects_what_was_sent_before(platform: Platform) -> None:
    for total in range(1, 20):
        await platform.send(Deposit(cents=1), "savings")
        assert await platform.ask(GetBalance(account="savings")) == Balance(cents=total, deposits=total)


async def test_a_rejection_is_an_outcome(platform: Platform) -> None:
    outcome = await platform.send(Deposit(cents=-1), "savings")
    assert (outcome.status, outcome.code) == (Status.Rejected, "negative")


async def test_a_query_that_is_refused_is_an_error(platform: Platform) -> None:
    with pytest.raises(QueryFailed, match="nothing was ever put into nothing"):
        await platform.ask(GetBalance(account="nothing"))


async def test_an_actors_events_are_there(platform: Platform) -> None:
    await platform.send(OpenAccount(owner="Ada"), "savings")
    await platform.send(Deposit(cents=5), "savings")
    await platform.send(Deposit(cents=7), "checking")
    assert await platform.events("accounts.account/savings") == [
        AccountOpened(owner="Ada"),
        Deposited(cents=5, balance=5),
    ]


async def test_all_events_are_there_however_many(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platforms, "_PAGE", 2)
    for _ in range(4):
        await platform.send(Deposit(cents=1), "savings")
    assert [event.balance for event in await platform.events("accounts.account/savings")] == [1, 2, 3, 4]


async def test_tenants_are_apart(platform: Platform) -> None:
    await platform.send(Deposit(cents=1), "savings", tenant="blue")
    await platform.send(Deposit(cents=2), "savings", tenant="green")
    assert await platform.ask(GetBalance(account="savings"), tenant="blue") == Balance(cents=1, deposits=1)
    assert await platform.events("accounts.account/savings", tenant="green") == [Deposited(cents=2, balance=2)]
    assert await platform.events("accounts.account/savings") == []


async def test_a_command_sent_twice_happens_once(platform: Platform, ids: Ids) -> None:
    id = ids.next()
    first = await platform.send(Deposit(cents=1), "savings", message_id=id)
    assert await platform.send(Deposit(cents=1), "savings", message_id=id) == first
    assert len(await platform.events("accounts.account/savings")) == 1


async def test_servers_are_of_the_tests_own(platform: Platform) -> None:
    shared = load_settings()
    assert platform.settings.database_url != shared.database_url
    assert platform.settings.broker_url != shared.broker_url


async def test_a_test_that_asks_for_it_is_marked(platform: Platform, request: pytest.FixtureRequest) -> None:
    assert request.node.get_closest_marker("servers") is not None
