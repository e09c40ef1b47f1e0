"""A module whose projection has one row for each time that an event was applied, and tells the trace of it."""

from __future__ import annotations

from collections.abc import Sequence

from datapunk import Module, Projection, Recorded, Rows, projects
from tests.accounts.account import Account
from tests.accounts.events import Deposited


class Journal(Projection):
    """Positions."""

    module = "accounts"
    name = "journal"

    @projects(Deposited)
    async def deposited(self, rows: Rows, events: Sequence[Recorded[Deposited]]) -> None:
        """Write down."""
        async with rows.cursor() as cursor:
            await cursor.executemany("insert into journal values (%s)", [(event.position,) for event in events])


journaling = Module(name="accounts", schemas="tests.accounts", actors=[Account], projections=[Journal])
