"""`RewardFirstDeposit` as it mustn't be changed: workflows that are under way would do something else."""

from __future__ import annotations

from datetime import timedelta

from temporalio import workflow

from datapunk import Recorded
from tests.accounts.events import AccountOpened, Deposited


@workflow.defn
class RewardFirstDeposit:
    """It sleeps first, which it didn't."""

    @workflow.run
    async def run(self, opened: Recorded[AccountOpened]) -> int:
        await workflow.sleep(timedelta(seconds=1))
        await workflow.sleep(timedelta(days=1))
        return 0

    @workflow.signal
    def deposited(self, event: Recorded[Deposited]) -> None:
        """Forget it."""
