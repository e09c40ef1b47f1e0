"""A cache in two processes: what it answers, who reads, and what never happens."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from prometheus_client import REGISTRY

from datapunk.cache.cache import RATIO_OF
from tests.datapunk.cache.instances import Instances, instances
from tests.working import eventually


@pytest.fixture
async def two(redis_url: str) -> AsyncIterator[Instances]:
    """Two caches that have heard from their feeder."""
    async with instances(redis_url) as two:
        await two.heard()
        yield two


async def under_way(two: Instances, reads: int) -> None:
    """Until so many reads have begun."""

    async def have_begun() -> bool:
        return two.truth.reads >= reads

    await eventually(have_begun, f"{reads} reads have begun")


async def test_what_one_has_read_nobody_reads_again(two: Instances) -> None:
    two.truth.change("a")
    await two.heard()
    assert [await two.ask(number, "a") for number in (0, 0, 1, 1)] == [1, 1, 1, 1]
    assert two.truth.reads == 1


async def test_of_many_that_ask_at_once_one_reads(two: Instances) -> None:
    two.truth.may_read.clear()
    asked = [asyncio.create_task(two.ask(number % 2, "a")) for number in range(50)]
    await under_way(two, 1)
    two.truth.may_read.set()
    assert set(await asyncio.gather(*asked)) == {0}
    assert two.truth.reads == 1


@pytest.mark.parametrize("updating", [False, True], ids=["cache_invalidate", "cache_update"])
async def test_what_has_changed_is_answered_anew_by_all(two: Instances, updating: bool) -> None:
    assert [await two.ask(number, "a") for number in (0, 1)] == [0, 0]
    two.truth.change("a")
    await two.told.tell(updating=updating)
    await two.heard()
    assert [await two.ask(number, "a") for number in (0, 1)] == [1, 1]
    assert two.truth.reads == (1 if updating else 2)


@pytest.mark.parametrize("updating", [False, True], ids=["cache_invalidate", "cache_update"])
async def test_a_value_from_before_a_change_is_not_kept_after_it(two: Instances, updating: bool) -> None:
    two.truth.may_read.clear()
    late = asyncio.create_task(two.ask(0, "a"))
    await under_way(two, 1)  # it has read what was, and is held up
    two.truth.change("a")
    await two.told.tell(updating=updating)
    two.truth.may_read.set()
    assert await late == 0  # it had asked before
    await two.heard()
    assert [await two.ask(number, "a") for number in (0, 1)] == [1, 1]


async def test_who_asks_after_a_change_does_not_get_what_is_being_read_from_before(two: Instances) -> None:
    two.truth.may_read.clear()
    early = asyncio.create_task(two.ask(0, "a"))
    await under_way(two, 1)
    two.truth.change("a")
    await two.heard()
    asked = asyncio.create_task(two.ask(0, "a"))
    await under_way(two, 2)
    two.truth.may_read.set()
    assert (await early, await asked) == (0, 1)


async def test_who_needs_a_position_gets_an_answer_that_reflects_it_though_nobody_was_told(two: Instances) -> None:
    assert await two.ask(0, "a") == 0
    position = two.truth.change("a")
    assert await two.ask(0, "a") == 0  # as far as it knows
    assert await two.ask(0, "a", after=position) == 1


async def test_another_epoch_begins_empty(two: Instances) -> None:
    assert await two.ask(0, "a") == 0
    two.truth.change("a")
    await two.told.begin()
    await two.heard()
    assert [await two.ask(number, "a") for number in (0, 1)] == [1, 1]


async def test_who_tells_of_an_epoch_that_is_over_is_not_heard(two: Instances) -> None:
    former = two.told.epoch
    await two.told.begin()
    assert not await two.told.central.advance(former, two.told.position, two.told.position, ["a"])


async def test_nobody_waits_for_a_reader_that_failed(two: Instances) -> None:
    async def fail() -> bytes:
        raise LookupError("a")

    with pytest.raises(LookupError):
        await two.caches[0].get("a", fail)
    assert await asyncio.wait_for(two.ask(1, "a"), 5) == 0  # the lease would last for ten


async def test_a_reader_that_is_not_waited_for_any_more_reads_on_for_others(two: Instances) -> None:
    two.truth.may_read.clear()
    first = asyncio.create_task(two.ask(0, "a"))
    second = asyncio.create_task(two.ask(0, "a"))
    await under_way(two, 1)
    first.cancel()
    two.truth.may_read.set()
    assert await second == 0
    assert two.truth.reads == 1


async def test_its_hit_ratio_is_told(two: Instances) -> None:
    for _ in range(2 * RATIO_OF):
        await two.ask(0, "a")
    assert REGISTRY.get_sample_value("cache_hit_ratio", {"cache": "test"}) == 1.0
    assert (REGISTRY.get_sample_value("cache_lookups_total", {"cache": "test", "result": "local"}) or 0) > RATIO_OF
