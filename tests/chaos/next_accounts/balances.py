"""The projection and its query, which are as before: only the event has another class."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from datapunk import Projection, Recorded, Rows, answers, projects
from tests.accounts import balances
from tests.chaos.next_accounts.events import Deposited
from tests.chaos.next_accounts.queries import GetBalance


class Balances(Projection):
    """One row an account."""

    module = "accounts"
    name = "balances"

    async def create(self, rows: Rows) -> None:
        await balances.Balances().create(rows)

    @projects(Deposited)
    async def deposited(self, rows: Rows, events: Sequence[Recorded[Deposited]]) -> None:
        await balances.Balances().deposited(rows, cast(Any, events))


get_balance = answers(GetBalance, Balances)(balances.get_balance.function)
