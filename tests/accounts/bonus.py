"""A process manager whose two events come in any order; a package of workflows of its own, for tests that name it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from temporalio import workflow

from datapunk import Recorded
from datapunk.temporal import CommandRejected, send, signalled_by
from tests.accounts.commands import Deposit
from tests.accounts.events import AccountOpened, Deposited

PATIENCE = timedelta(minutes=10)
BONUS, CONSOLATION = 7, 1  # cents
STINGY = "stingy"  # an owner whose bonus is negative, and so rejected
CONSOLED = "consolation-of-"  # accounts whose events are none of its business


def account_of(recorded: Recorded[Any]) -> str | None:
    return None if recorded.actor.startswith(CONSOLED) else recorded.actor


@workflow.defn
class GiveBonus:
    """Who opens an account and deposits, in any order, gets a bonus; who takes too long, or can't have it, a cent."""

    def __init__(self) -> None:
        self._opened: Recorded[AccountOpened] | None = None
        self._deposited: Recorded[Deposited] | None = None

    @workflow.run
    async def run(self) -> str:
        """Tells what was given."""
        try:
            await workflow.wait_condition(lambda: bool(self._opened and self._deposited), timeout=PATIENCE)
            assert self._opened is not None
            cents = -BONUS if self._opened.event.owner == STINGY else BONUS
            await send(Deposit(cents=cents), self._opened.actor)
        except (TimeoutError, CommandRejected):
            known = self._opened or self._deposited
            assert known is not None
            await send(Deposit(cents=CONSOLATION), CONSOLED + known.actor)
            return "consolation"
        return "bonus"

    @workflow.signal
    @signalled_by(AccountOpened, key=account_of, starts=True)
    def opened(self, event: Recorded[AccountOpened]) -> None:
        self._opened = event

    @workflow.signal
    @signalled_by(Deposited, key=account_of, starts=True)
    def deposited(self, event: Recorded[Deposited]) -> None:
        self._deposited = event
