"""`given`, `when`, `then`: what they find out."""

from __future__ import annotations

import pytest

from datapunk.testing import given
from tests.accounts.account import Account
from tests.accounts.commands import Deposit, OpenAccount
from tests.accounts.events import AccountOpened, Deposited

OPENED = AccountOpened(owner="Ada")


class Forgetful(Account):
    """Changes its state where it decides."""

    def decide(self, command: Deposit) -> list[Deposited]:
        self.balance += 1
        return []


def test_events_are_compared() -> None:
    with pytest.raises(AssertionError, match="Grace"):
        given(Account).when(OpenAccount(owner="Ada")).then(AccountOpened(owner="Grace"))


def test_an_event_too_few_is_found() -> None:
    with pytest.raises(AssertionError):
        given(Account).when(OpenAccount(owner="Ada")).then()


def test_a_rejection_is_not_an_acceptance() -> None:
    with pytest.raises(AssertionError, match="rejected as account_exists"):
        given(Account, OPENED).when(OpenAccount(owner="Ada")).then()


def test_an_acceptance_is_not_a_rejection() -> None:
    with pytest.raises(AssertionError, match="accepted"):
        given(Account).when(OpenAccount(owner="Ada")).rejects("account_exists")


def test_codes_are_compared() -> None:
    with pytest.raises(AssertionError, match="rejected as account_exists, not as negative"):
        given(Account, OPENED).when(OpenAccount(owner="Ada")).rejects("negative")


def test_several_commands_are_handled_in_order() -> None:
    given(Account).when(Deposit(cents=1), Deposit(cents=2)).then(Deposited(cents=2, balance=3)).state(balance=3)


def test_states_are_compared() -> None:
    with pytest.raises(AssertionError, match="expected state"):
        given(Account).when(Deposit(cents=1)).state(balance=2)


def test_a_handler_that_changes_the_state_is_found() -> None:
    with pytest.raises(AssertionError, match="the handler changed the state"):
        given(Forgetful).when(Deposit(cents=1))


def test_what_is_not_read_cannot_be_given() -> None:
    with pytest.raises(TypeError, match="Account reads no bank"):
        given(Account, bank=[OPENED])
