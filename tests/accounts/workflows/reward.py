"""A reward for who deposits soon after opening an account."""

from __future__ import annotations

from datetime import timedelta

from temporalio import workflow

from datapunk import Recorded
from datapunk.temporal import ask, send, signalled_by, started_by
from tests.accounts.commands import Deposit
from tests.accounts.events import AccountOpened, Deposited
from tests.accounts.queries import GetBalance

REWARD = 7  # cents
SOON = timedelta(days=1)


@workflow.defn
class RewardFirstDeposit:
    """Waits for the first deposit, then adds to it; tells the balance at the end."""

    def __init__(self) -> None:
        self._deposits: list[Recorded[Deposited]] = []

    @workflow.run
    @started_by(AccountOpened)
    async def run(self, opened: Recorded[AccountOpened]) -> int:
        """From the opening to the reward, or to nothing."""
        try:
            await workflow.wait_condition(lambda: bool(self._deposits), timeout=SOON)
        except TimeoutError:
            return 0
        outcome = await send(Deposit(cents=REWARD), opened.actor)
        balance = await ask(GetBalance(account=opened.actor), after_position=outcome.position)
        return balance.cents

    @workflow.signal
    @signalled_by(Deposited)
    def deposited(self, event: Recorded[Deposited]) -> None:
        """Remember it."""
        self._deposits.append(event)
