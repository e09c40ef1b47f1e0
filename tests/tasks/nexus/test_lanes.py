"""Lanes: what one subscription takes of a process."""

from __future__ import annotations

from tasks.nexus.lanes import LEAST_S, MOST_S, Lanes


async def test_a_subscription_has_so_many_lanes_and_others_have_theirs() -> None:
    lanes = Lanes(2)
    async with lanes.of("a") as first, lanes.of("a") as second, lanes.of("a") as third, lanes.of("b") as other:
        assert (first, second, third, other) == (1, 2, None, 1)
    async with lanes.of("a") as again:
        assert again == 1


async def test_a_lane_is_free_again_after_a_failure() -> None:
    lanes = Lanes(1)
    try:
        async with lanes.of("a"):
            raise ValueError
    except ValueError:
        pass
    async with lanes.of("a") as again:
        assert again == 1


def test_a_turn_comes_neither_at_once_nor_much_too_late() -> None:
    lanes = Lanes(1)
    assert lanes.turn_s("a", 0) == LEAST_S
    assert LEAST_S <= lanes.turn_s("a", 10**9) <= MOST_S
