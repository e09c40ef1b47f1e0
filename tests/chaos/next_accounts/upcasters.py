"""How events of the first release are read."""

from __future__ import annotations

from typing import Any

from datapunk import upcasts
from tests.chaos.next_accounts.events import Deposited

ONLY_CURRENCY = "EUR"


@upcasts(Deposited, from_version=1)
def name_the_currency(old: dict[str, Any]) -> dict[str, Any]:
    """There was one, and nobody had to name it."""
    return {**old, "currency": ONLY_CURRENCY}
