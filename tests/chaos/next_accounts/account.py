"""The actor, which knows a currency."""

from __future__ import annotations

from datapunk import Actor, applies, handles
from tests.chaos.next_accounts.commands import Deposit
from tests.chaos.next_accounts.events import Deposited


class Account(Actor):
    """Knows its balance, and in what."""

    balance: int = 0
    currency: str = ""

    @handles(Deposit)
    def deposit(self, command: Deposit) -> Deposited:
        """All are welcome."""
        return Deposited(cents=command.cents, balance=self.balance + command.cents, currency=command.currency)

    @applies(Deposited)
    def deposited(self, event: Deposited) -> None:
        """Count."""
        self.balance, self.currency = event.balance, event.currency
