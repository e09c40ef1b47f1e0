"""Lake's tables are what a replay of its events gives, table by table."""

from __future__ import annotations

from actors.lake.module import lake
from datapunk.comparison import compare
from datapunk.messages.registry import Registry
from datapunk.settings import Settings
from projections.lake.datasets import Datasets
from projections.lake.records import Records
from tests.e2e.test_lake import FIELDS, listed, record
from tests.projections.lake.running import running_lake


async def test_lakes_tables_equal_a_replay(settings: Settings) -> None:
    async with running_lake(settings) as running:
        for id in ("weather", "empty"):
            await running.create(FIELDS, id=id, key="station", partitions=4, indexes=["celsius"])
        await running.append_by_key("weather", "station", [record("JFK", 1.5), record("EWR"), record("JFK", 2.5)], 4)
        await listed(running)  # all of it is projected
        registry = Registry.of([lake])
        for projection in (Datasets(), Records()):
            comparison = await compare(projection, registry, settings)
            assert comparison.tables
            assert [each.table for each in comparison.tables if not each.is_equal] == []
