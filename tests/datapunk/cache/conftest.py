"""Patience: on a busy machine nothing is away because it's slow, and Redis is asked again soon when it was."""

from __future__ import annotations

import pytest

from datapunk.cache import cache, central, local

LONG_S = 60.0


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (cache, central, local):
        monkeypatch.setattr(module, "FED_S", LONG_S)
    monkeypatch.setattr(central, "ANSWER_WITHIN_S", LONG_S)
    monkeypatch.setattr(cache, "AWAY_S", 0.05)
