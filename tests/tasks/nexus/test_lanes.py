"""Lanes: what one subscription takes of a process."""

from __future__ import annotations

import asyncio

import pytest

from tasks.nexus.lanes import LEAST_S, MOST_S, Lanes


async def test_a_subscription_has_so_many_lanes_and_others_have_theirs() -> None:
    lanes = Lanes(2)
    async with lanes.of("a") as first, lanes.of("a") as second, lanes.of("a") as third, lanes.of("b") as other:
        assert (first, second, third, other) == (True, True, False, True)
    async with lanes.of("a") as again:
        assert again


async def test_one_who_waits_gets_the_lane_that_gets_free_and_a_crowd_does_not_wait() -> None:
    lanes = Lanes(1)

    async def take() -> bool:
        async with lanes.of("a") as has_lane:
            return has_lane

    async with lanes.of("a"):
        waiting = asyncio.create_task(take())
        await asyncio.sleep(0)  # so that it waits
        assert not await take()
    assert await waiting


async def test_a_lane_is_free_again_after_a_failure() -> None:
    lanes = Lanes(1)
    with pytest.raises(ValueError, match="as told"):
        async with lanes.of("a"):
            raise ValueError("as told")
    async with lanes.of("a") as again:
        assert again


def test_a_turn_comes_neither_at_once_nor_much_too_late() -> None:
    lanes = Lanes(1)
    assert lanes.turn_s("a", 0) == LEAST_S
    assert LEAST_S <= lanes.turn_s("a", 10**9) <= MOST_S
