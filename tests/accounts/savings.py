"""A workflow that runs by the clock; a package of workflows of its own, for tests that name it."""

from __future__ import annotations

from datetime import timedelta

from temporalio import workflow

from datapunk.temporal import Schedule, send
from tests.accounts.commands import Deposit

SAVED = 5  # cents


@workflow.defn
class Save:
    """Saves something."""

    @workflow.run
    async def run(self, account: str) -> None:
        """Once."""
        await send(Deposit(cents=SAVED), account)


MONTHLY = Schedule("save", Save, every=timedelta(days=30), arguments=["savings"])
