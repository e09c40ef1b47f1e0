"""Lake through the broker: what is accepted is found, what isn't is answered with why, and nothing is left behind."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from actors.lake.module import lake
from datapunk.errors import QueryFailed
from datapunk.messages.outcome import Status
from datapunk.messages.registry import Registry
from datapunk.rebuild import rebuild
from datapunk.settings import Settings
from projections.lake.records import Records
from schemas.lake.commands import AppendRecords, CreateDataset, DeleteDataset, RenameDataset
from schemas.lake.queries import Dataset, DatasetList, GetDataset, ListDatasets
from schemas.lake.types import Filter, Order
from tests.projections.lake.running import Lake, running_lake

FIELDS = [{"name": "station", "type": "string"}, {"name": "celsius", "type": ["null", "double"]}]


@pytest.fixture
async def running(settings: Settings) -> AsyncIterator[Lake]:
    """A worker that runs Lake, and a client."""
    async with running_lake(settings) as running:
        yield running


def record(station: str, celsius: float | None = None) -> dict[str, Any]:
    return {"station": station, "celsius": None if celsius is None else {"double": celsius}}


async def get(running: Lake, dataset: str) -> Dataset:
    found = await running.client.ask(
        GetDataset(dataset=dataset), tenant=running.tenant, after_position=running.position
    )
    assert isinstance(found, Dataset)
    return found


async def listed(running: Lake, **query: Any) -> DatasetList:
    found = await running.client.ask(ListDatasets(**query), tenant=running.tenant, after_position=running.position)
    assert isinstance(found, DatasetList)
    return found


async def test_a_dataset_lives_from_creation_to_deletion(running: Lake) -> None:
    await running.create(FIELDS, id="weather", key="station", partitions=4, indexes=["celsius"], description="Hourly.")
    await running.append_by_key("weather", "station", [record("JFK", 1.5), record("EWR"), record("JFK", 2.5)], 4)
    await running.send(RenameDataset(name="Clouds"), "weather")
    dataset = await get(running, "weather")
    summary = dataset.summary
    assert (summary.name, summary.records, summary.partitions, summary.description) == ("Clouds", 3, 4, "Hourly.")
    assert (dataset.key, dataset.indexes) == ("station", ["celsius"])
    assert summary.created_at < summary.updated_at
    warm = await running.find("weather", Filter(field="station", value='"JFK"'), order=[Order(field="celsius")])
    assert warm == [{"station": "JFK", "celsius": 1.5}, {"station": "JFK", "celsius": 2.5}]

    await running.send(DeleteDataset(reason="old"), "weather")
    for ask in (get(running, "weather"), running.find("weather")):
        with pytest.raises(QueryFailed) as failed:
            await ask
        assert failed.value.error_code == "dataset_unknown"
    assert (await listed(running)).datasets == []
    assert (await running.send(AppendRecords(records="[]"), "weather:0")).code == "dataset_deleted"
    schema = json.dumps({"type": "record", "name": "R", "fields": FIELDS})
    assert (await running.send(CreateDataset(name="x", schema=schema), "weather")).code == "dataset_exists"


async def test_a_deleted_dataset_leaves_no_table(running: Lake, connection: Any) -> None:
    dataset = await running.create(FIELDS, partitions=3)
    await running.append(dataset, [record("JFK")])
    await running.send(DeleteDataset(), dataset)
    await running.find(await running.create(FIELDS))
    cursor = await connection.execute("select tablename from pg_tables where tablename like 'records_1%'")
    assert await cursor.fetchall() == []


@pytest.mark.parametrize(
    ("actor", "records", "code", "says"),
    [
        ("unknown:0", [record("JFK")], "dataset_unknown", "create it"),
        ("weather:4", [record("JFK")], "partition_unknown", "0 to 3"),
        ("weather", [record("JFK")], "dataset_unknown", ""),
        ("weather:" + "9" * 150, [record("JFK")], "partition_unknown", "0 to 3"),
        ("weather:0", [], "records_count", "1 to 5000"),
        ("weather:0", [record("JFK")] * 5001, "records_count", "not 5001"),
        ("weather:0", [record("x" * 8_000_000)], "records_size", "at most 7,340,032 bytes"),
        (
            "weather:0",
            [*[record("JFK")] * 4998, record("JFK") | {"celsius": 1}, record("JFK")],
            "record_invalid",
            "$[4998].celsius",
        ),
        ("weather:0", [record("JFK") | {"other": 1}], "record_invalid", "other"),
    ],
)
async def test_what_is_rejected_is_answered_and_changes_nothing(
    running: Lake, actor: str, records: list[Any], code: str, says: str
) -> None:
    await running.create(FIELDS, id="weather", partitions=4)
    outcome = await running.send(AppendRecords(records=json.dumps(records)), actor)
    assert (outcome.status, outcome.code) == (Status.Rejected, code)
    assert says in outcome.message
    await running.append("weather", [record("EWR")])
    assert await running.find("weather") == [{"station": "EWR", "celsius": None}]


async def test_a_command_too_large_for_the_broker_is_refused_before_it_is_read(running: Lake) -> None:
    await running.create(FIELDS, id="weather")
    outcome = await running.send(AppendRecords(records=json.dumps([record("x" * 17_000_000)])), "weather:0")
    assert (outcome.status, outcome.code) == (Status.Failed, "oversized")


async def test_the_wrong_partition_is_named_with_the_right_one(running: Lake) -> None:
    await running.create(FIELDS, id="weather", key="station", partitions=64)
    outcome = await running.send(AppendRecords(records=json.dumps([record("JFK")])), "weather:0")
    assert outcome.code == "partition_wrong"
    rightful = int(outcome.message.split("belongs to partition ")[1].split(",")[0])
    await running.append("weather", [record("JFK")], rightful)


async def test_records_of_all_partitions_are_found(running: Lake) -> None:
    await running.create(FIELDS, id="weather", key="station", partitions=64)
    stations = [f"station {number}" for number in range(300)]
    await running.append_by_key("weather", "station", [record(station) for station in stations], 64)
    assert (await get(running, "weather")).summary.records == 300
    found = await running.find("weather", order=[Order(field="station")], limit=70)
    assert [row["station"] for row in found] == sorted(stations)


async def test_the_order_of_appending_is_the_order_of_a_partition(running: Lake) -> None:
    dataset = await running.create([{"name": "n", "type": "int"}])
    for first in range(0, 50, 10):
        await running.append(dataset, [{"n": number} for number in range(first, first + 10)])
    assert [row["n"] for row in await running.find(dataset)] == list(range(50))


async def test_tenants_see_only_what_is_theirs(running: Lake) -> None:
    other = Lake(running.client, tenant="other")
    for one in (running, other):
        await one.create(FIELDS, id="weather")
        await one.append("weather", [record(one.tenant)])
    await other.create(FIELDS, id="secret")
    other.position = running.position = max(other.position, running.position)
    assert [dataset.dataset for dataset in (await listed(running)).datasets] == ["weather"]
    assert await running.find("weather") == [{"station": "default", "celsius": None}]
    assert await other.find("weather") == [{"station": "other", "celsius": None}]
    for ask in (get(running, "secret"), running.find("secret")):
        with pytest.raises(QueryFailed) as failed:
            await ask
        assert failed.value.error_code == "dataset_unknown"
    assert (await running.send(DeleteDataset(), "secret")).code == "dataset_unknown"
    await running.send(DeleteDataset(), "weather")
    other.position = running.position
    assert (await get(other, "weather")).summary.records == 1


async def test_a_rebuild_gives_the_same_rows(running: Lake, settings: Settings) -> None:
    types = {"n": "int", "text": "string", "wide": ["int", "long", "null"], "list": {"type": "array", "items": "int"}}
    fields = [{"name": name, "type": avro} for name, avro in types.items()]
    await running.send(DeleteDataset(), await running.create(fields))  # so that tables are numbered anew
    dataset = await running.create(fields, partitions=2, indexes=["text"])
    for partition in range(2):
        records = [{"n": n, "text": f"t{n}", "wide": {"long": n}, "list": [n]} for n in range(20)]
        await running.append(dataset, records, partition)
    before = await running.find(dataset, order=[Order(field="text")])
    await rebuild(Records(), Registry.of([lake]), settings)
    assert await running.find(dataset, order=[Order(field="text")]) == before
    await running.append(dataset, [{"n": 20, "text": "t20", "wide": None, "list": []}])
    assert len(await running.find(dataset)) == len(before) + 1


async def test_datasets_are_listed_page_by_page(running: Lake) -> None:
    ids = ["a", "a-1", "a_1", "aa", "b"]
    for id in ids:
        await running.create(FIELDS, id=id)
    found: list[str] = []
    after: str | None = None
    while True:
        page = await listed(running, limit=2, after=after)
        found += [dataset.dataset for dataset in page.datasets]
        after = page.next
        if after is None:
            break
    assert sorted(found) == sorted(ids)
    assert len(set(found)) == len(ids)
    assert {dataset.dataset for dataset in (await listed(running, prefix="a_")).datasets} == {"a_1"}
    assert (await listed(running, prefix="%")).datasets == []
    for limit in (0, 1001):
        with pytest.raises(QueryFailed) as failed:
            await listed(running, limit=limit)
        assert failed.value.error_code == "limit_invalid"
