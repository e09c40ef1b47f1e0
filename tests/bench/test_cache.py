"""One query with its cache and without: `lake.GetDataset`, answered in this process, and asked over the broker.

As many as the query server has under way ask at once; each way is measured in turn. What the cache has to do for each
event isn't counted: an event takes away one answer.
"""

from __future__ import annotations

import asyncio
import dataclasses
import statistics
from collections.abc import Awaitable, Callable
from time import perf_counter
from typing import Any

import pytest
from rich.console import Console
from rich.table import Table as Grid

from actors.lake.module import lake
from datapunk.answering import POOL, Answerer
from datapunk.messages.registry import Registry
from datapunk.settings import Settings
from datapunk.testing.platform import running_platform
from projections.lake.find_datasets import get_dataset
from schemas.lake.commands import CreateDataset
from schemas.lake.queries import GetDataset
from tests.bench.amounts import ROUNDS

QUERIES = 4000
SCHEMA = '{"type": "record", "name": "R", "fields": [{"name": "station", "type": "string"}]}'
QUERY = GetDataset(dataset="weather")


@pytest.mark.bench
@pytest.mark.timeout(600)
async def test_a_query_with_its_cache_and_without(settings: Settings, redis_url: str) -> None:
    settings = settings.model_copy(update={"redis_url": redis_url})
    rates: dict[tuple[str, str], list[float]] = {}
    for _ in range(ROUNDS):
        for name, cached in (("without", None), ("with", get_dataset.cached)):
            handler = dataclasses.replace(get_dataset, cached=cached)
            module = dataclasses.replace(lake, queries=[handler], services={})
            async with running_platform([module], settings) as platform:
                await platform.send(CreateDataset(name="Weather", schema=SCHEMA, partitions=1), "weather")
                await platform.ask(QUERY)
                async with Answerer(module, Registry.of([module]), settings) as answerer:
                    here = await _rate(
                        lambda: answerer.answer(QUERY, tenant=settings.default_tenant, after=None, timeout_s=10)
                    )
                over_the_broker = await _rate(lambda: platform.client.ask(QUERY))
            rates.setdefault(("in the process", name), []).append(here)
            rates.setdefault(("over the broker", name), []).append(over_the_broker)
    grid = Grid("answered", "without", "with", title=f"lake.GetDataset, {POOL} at a time, answers/s")
    for where in ("in the process", "over the broker"):
        grid.add_row(where, *(f"{statistics.median(rates[where, name]):,.0f}" for name in ("without", "with")))
    Console(width=110).print(grid)


async def _rate(ask: Callable[[], Awaitable[Any]]) -> float:
    """Answers a second."""
    left = iter(range(QUERIES))

    async def one() -> None:
        for _ in left:
            await ask()

    await ask()
    began = perf_counter()
    await asyncio.gather(*(one() for _ in range(POOL)))
    return QUERIES / (perf_counter() - began)
