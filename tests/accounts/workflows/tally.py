"""Three deposits, in any order with the account's opening, and an actor's no."""

from __future__ import annotations

from dataclasses import dataclass, field

from temporalio import workflow

from datapunk import Recorded
from datapunk.temporal import CommandRejected, send, signalled_by
from tests.accounts.commands import Deposit
from tests.accounts.events import Deposited

WANTED = 3


@dataclass
class Tally:
    """The deposits as they came, and the code with which something else was refused."""

    deposits: list[Recorded[Deposited]] = field(default_factory=list)
    refused: str = ""


@workflow.defn
class TallyDeposits:
    """Waits for three deposits; the first of them starts it."""

    def __init__(self) -> None:
        self._tally = Tally()
        self._account = ""

    @workflow.run
    async def run(self) -> Tally:
        """From the first to the third."""
        await workflow.wait_condition(lambda: len(self._tally.deposits) >= WANTED)
        try:
            await send(Deposit(cents=-1), self._account)
        except CommandRejected as rejected:
            self._tally.refused = rejected.code
        return self._tally

    @workflow.signal
    @signalled_by(Deposited, starts=True)
    def deposited(self, event: Recorded[Deposited]) -> None:
        """Write it down."""
        self._account = event.actor
        self._tally.deposits.append(event)
