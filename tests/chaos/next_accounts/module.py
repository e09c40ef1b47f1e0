"""How it plugs in."""

from __future__ import annotations

import tests.chaos.next_accounts.upcasters  # noqa: F401  # pyright: ignore[reportUnusedImport]
from datapunk import Module
from tests.chaos.next_accounts.account import Account
from tests.chaos.next_accounts.balances import Balances, get_balance

next_accounts = Module(
    name="accounts",
    schemas="tests.chaos.next_accounts",
    actors=[Account],
    projections=[Balances],
    queries=[get_balance],
)
