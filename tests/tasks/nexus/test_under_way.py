"""What is under way is counted by position: once, however often it's handed over."""

from __future__ import annotations

from collections.abc import AsyncIterator
from uuid import uuid4

import pytest
from redis.asyncio import Redis

from tasks.nexus import under_way as module
from tasks.nexus.under_way import UnderWay, patient_url, prefix_of


@pytest.fixture
async def under_way(redis_url: str) -> AsyncIterator[UnderWay]:
    async with Redis.from_url(patient_url(redis_url)) as redis:
        yield UnderWay(redis, f"test-{uuid4()}")


async def test_what_is_handed_over_twice_counts_once(under_way: UnderWay) -> None:
    await under_way.add("acme", "hook", [1, 2, 3])
    await under_way.add("acme", "hook", [2, 3, 4])
    assert await under_way.count("acme", "hook") == (4, 4)
    assert await under_way.count("acme", "other") == (0, 0)


async def test_what_waits_for_a_retry_is_told_apart_and_what_is_done_is_gone(under_way: UnderWay) -> None:
    await under_way.add("acme", "hook", [1, 2, 3])
    await under_way.wait("acme", "hook", 1)
    assert await under_way.count("acme", "hook") == (3, 2)
    await under_way.remove("acme", "hook", 1)
    await under_way.remove("acme", "hook", 2)
    assert await under_way.count("acme", "hook") == (1, 1)
    await under_way.wait("acme", "hook", 1)  # nobody minds that it's done
    assert await under_way.count("acme", "hook") == (1, 1)


async def test_what_was_lost_sight_of_is_forgotten(under_way: UnderWay, monkeypatch: pytest.MonkeyPatch) -> None:
    await under_way.add("acme", "hook", [1, 2])
    await under_way.wait("acme", "hook", 1)
    monkeypatch.setattr(module, "FORGOTTEN_S", -60)
    assert await under_way.count("acme", "hook") == (0, 0)


def test_a_url_keeps_what_it_says_and_platforms_have_keys_of_their_own() -> None:
    url = patient_url("redis://:secret@127.0.0.1:6389/3?socket_timeout=1")
    assert url == "redis://:secret@127.0.0.1:6389/3?socket_timeout=1&socket_connect_timeout=5"
    assert prefix_of("postgresql://a@b:1/one?x=y") != prefix_of("postgresql://a@b:1/two")
