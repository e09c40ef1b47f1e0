"""Redis stopped, and Redis that lost what it had confirmed: slower, and never wrong."""

from __future__ import annotations

import asyncio
import os
import shutil
from contextlib import suppress
from pathlib import Path

import pytest

from datapunk.cache import cache
from tests.datapunk.cache.instances import Instances, instances
from tests.own_stack import Place
from tests.working import eventually


@pytest.fixture
def place(place: Place) -> Place:
    """With a Redis of its own."""
    place.start("redis")
    return place


async def begin_anew(two: Instances) -> None:
    """As the feeder does: until Redis answers."""

    async def has_begun() -> bool:
        with suppress(*cache.Away):
            await two.told.begin()
            return True
        return False

    await eventually(has_begun, "an epoch has begun")
    await two.heard()


async def have_noticed(two: Instances) -> None:
    """Until none trusts what it has."""

    async def trust_nothing() -> bool:
        return not any(each.local.knows() for each in two.caches)

    await eventually(trust_nothing, "they know that news is missing")


async def test_without_redis_all_is_read_and_with_it_again_it_is_kept_again(place: Place) -> None:
    async with instances(os.environ["DATAPUNK_REDIS_URL"]) as two:
        await two.heard()
        assert await two.ask(0, "a") == 0
        await asyncio.to_thread(place.launcher.stop)
        await have_noticed(two)
        two.truth.change("a")
        assert [await two.ask(number, "a") for number in (0, 1)] == [1, 1]
        await asyncio.to_thread(place.start, "redis")
        await begin_anew(two)
        reads = two.truth.reads
        assert [await two.ask(number, "a") for number in (0, 0, 1, 1)] == [1] * 4
        assert two.truth.reads == reads + 1


async def test_what_redis_lost_is_not_answered(place: Place, tmp_path: Path) -> None:
    data = place.directory / "redis" / "appendonlydir"
    async with instances(os.environ["DATAPUNK_REDIS_URL"]) as two:
        await two.heard()
        assert await two.ask(0, "a") == 0
        shutil.copytree(data, tmp_path / "earlier")
        two.truth.change("a")
        await two.heard()
        await asyncio.to_thread(place.launcher.stop)
        shutil.rmtree(data)
        shutil.copytree(tmp_path / "earlier", data)  # where the old value still is
        await asyncio.to_thread(place.start, "redis")
        assert [await two.ask(number, "a") for number in (0, 1)] == [1, 1]
        await begin_anew(two)
        assert [await two.ask(number, "a") for number in (0, 1)] == [1, 1]
