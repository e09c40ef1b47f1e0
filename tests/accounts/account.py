"""The actor."""

from __future__ import annotations

from datapunk import Actor, Rejected, applies, handles
from datapunk.deciding import MAX_EVENT_BYTES
from tests.accounts.commands import Deposit, Misbehave, OpenAccount
from tests.accounts.events import AccountOpened, Deposited, Misbehaved


class Account(Actor):
    """Knows its balance."""

    owner: str | None = None
    balance: int = 0

    @handles(OpenAccount)
    def open(self, command: OpenAccount) -> AccountOpened:
        """Once."""
        if self.owner is not None:
            raise Rejected("account_exists", f"account {self.id} is open", {"owner": self.owner})
        return AccountOpened(owner=command.owner)

    @handles(Deposit)
    def deposit(self, command: Deposit) -> Deposited:
        """Not negative."""
        if command.cents < 0:
            raise Rejected("negative", "a deposit isn't negative")
        return Deposited(cents=command.cents, balance=self.balance + command.cents)

    @handles(Misbehave)
    def misbehave(self, command: Misbehave) -> Misbehaved | Deposited:
        """As told."""
        if command.how == "decide":
            raise ZeroDivisionError("as told")
        if command.how == "unencodable":
            return Deposited(cents="a lot", balance=0)  # type: ignore[arg-type]
        if command.how == "huge":
            return Misbehaved(how="x" * (MAX_EVENT_BYTES + 1))
        return Misbehaved(how=command.how)

    @applies(AccountOpened)
    def opened(self, event: AccountOpened) -> None:
        """Remember whose."""
        self.owner = event.owner

    @applies(Deposited)
    def deposited(self, event: Deposited) -> None:
        """Count."""
        self.balance = event.balance

    @applies(Misbehaved)
    def misbehaved(self, event: Misbehaved) -> None:
        """Leave the state half changed, and fail."""
        self.balance = -1
        raise ArithmeticError("can't be applied")
