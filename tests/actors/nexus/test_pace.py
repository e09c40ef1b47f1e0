"""How fast many dead letters are handled."""

from __future__ import annotations

import asyncio
from uuid import uuid4

import pytest

from actors.nexus.cli import bulk
from actors.nexus.cli.bulk import paced


async def test_no_letter_comes_before_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    came: list[float] = []

    async def sleep(seconds: float) -> None:
        nonlocal now
        now += seconds

    monkeypatch.setattr(bulk, "monotonic", lambda: now)
    monkeypatch.setattr(asyncio, "sleep", sleep)
    async for batch in paced([uuid4() for _ in range(100)], 20.0):
        came += [now] * len(batch)
    assert len(came) == 100
    assert all(index <= time * 20 + 5 for index, time in enumerate(came))
    assert came[-1] >= 4.5


async def test_without_a_rate_all_come_at_once() -> None:
    ids = [uuid4() for _ in range(100)]
    assert [batch async for batch in paced(ids, None)] == [ids]
