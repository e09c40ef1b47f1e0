"""How it plugs in."""

from __future__ import annotations

from datapunk import Module
from tests.accounts.account import Account
from tests.accounts.balances import Balances, get_balance

accounts = Module(
    name="accounts",
    schemas="tests.accounts",
    actors=[Account],
    projections=[Balances],
    queries=[get_balance],
    workflows="tests.accounts.workflows",
)
