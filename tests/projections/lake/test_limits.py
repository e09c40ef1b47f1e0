"""What an actor accepts, a table takes: a projection that is stuck is an outage."""

from __future__ import annotations

import json
import random
from typing import Any

from datapunk.messages.outcome import Status
from schemas.lake.commands import AppendRecords, CreateDataset, DeleteDataset
from tests.projections.lake.running import Lake


def noise(length: int) -> str:
    """Text of which not much can be compressed."""
    return "".join(random.Random(length).choices("abcdefghijklmnopqrstuvwxyz0123456789", k=length))


def columns(count: int, avro: Any) -> list[Any]:
    return [{"name": f"f{number}", "type": avro} for number in range(count)]


async def test_indexed_values_are_as_long_as_an_index_bears(running: Lake) -> None:
    types = {"text": "string", "data": "bytes", "some": ["null", "string"], "id": "string"}
    fields = [{"name": name, "type": avro} for name, avro in types.items()]
    dataset = await running.create(fields, key="id", indexes=["text", "data", "some"])
    value = noise(2000)
    record = {"text": value, "data": value, "some": {"string": value}, "id": value}
    await running.append(dataset, [record])
    assert [found["text"] for found in await running.find(dataset)] == [value]
    for name in types:
        longer = {"string": value + "x"} if name == "some" else value + "x"
        outcome = await running.send(
            AppendRecords(records=json.dumps([record, {**record, name: longer}])), f"{dataset}:0"
        )
        assert (outcome.status, outcome.code) == (Status.Rejected, "record_invalid")
        assert f"record 1: {name} has 2,001 bytes" in outcome.message


async def test_bytes_and_not_characters_count_for_an_index(running: Lake) -> None:
    dataset = await running.create([{"name": "text", "type": "string"}], indexes=["text"])
    outcome = await running.send(AppendRecords(records=json.dumps([{"text": "é" * 1001}])), f"{dataset}:0")
    assert outcome.code == "record_invalid"


async def test_the_widest_row_of_texts_fits(running: Lake) -> None:
    dataset = await running.create(columns(285, "string"))
    # Short ones stay in the row, middling ones are compressed, long ones are moved out of it.
    records = [{f"f{number}": noise(length) for number in range(285)} for length in (20, 24, 40, 20_000)]
    await running.append(dataset, records)
    assert await running.find(dataset) == records


WIDEST: list[tuple[int, Any, Any]] = [
    (1000, "boolean", True),
    (1000, "int", 2**31 - 1),
    (666, "long", 2**63 - 1),
    (666, "double", 1.5),
    (500, {"type": "string", "logicalType": "uuid"}, "00000000-0000-0000-0000-000000000001"),
    (285, {"type": "array", "items": "long"}, list(range(3))),
    (285, {"type": "bytes", "logicalType": "decimal", "precision": 1000, "scale": 1000}, "\x7f" * 400),
]


async def test_the_widest_row_of_each_size_fits(running: Lake) -> None:
    for count, avro, value in WIDEST:
        dataset = await running.create(columns(count, avro))
        await running.append(dataset, [{f"f{number}": value for number in range(count)}])
        assert len(await running.find(dataset)) == 1, avro


async def test_widths_alternate_as_badly_as_they_can(running: Lake) -> None:
    fields = [{"name": f"f{number}", "type": "boolean" if number % 2 else "long"} for number in range(1000)]
    dataset = await running.create(fields)
    await running.append(dataset, [{f"f{number}": bool(number) if number % 2 else number for number in range(1000)}])
    assert len(await running.find(dataset)) == 1


async def test_many_partitions_with_many_indexes_are_made(running: Lake) -> None:
    fields = columns(17, "int")
    dataset = await running.create(fields, partitions=64, indexes=[field["name"] for field in fields[:16]])
    await running.append(dataset, [{field["name"]: 1 for field in fields}], partition=63)
    assert len(await running.find(dataset)) == 1


async def test_many_datasets_are_made_at_once(running: Lake) -> None:
    schema = json.dumps({"type": "record", "name": "R", "fields": columns(3, "string")})
    for number in range(50):
        command = CreateDataset(name="x", schema=schema, partitions=8, indexes=["f0", "f1"])
        await running.client.send(command, f"many{number}", wait=False)
    last = await running.create(columns(1, "int"), id="last")
    assert await running.find(last) == []


TREE = [{"name": "below", "type": {"type": "array", "items": "Row"}}]


def tree(depth: int) -> Any:
    """A record that contains itself so often."""
    record: Any = {"below": []}
    for _ in range(depth):
        record = {"below": [record]}
    return record


async def test_records_in_records_end_somewhere(running: Lake) -> None:
    dataset = await running.create(TREE)
    await running.append(dataset, [tree(30)])
    assert await running.find(dataset) == [tree(30)]
    for depth in (70, 300, 5000):
        text = '{"below":[' * depth + "]}" * depth
        outcome = await running.send(AppendRecords(records=f"[{text}]"), f"{dataset}:0")
        assert (outcome.status, outcome.code) == (Status.Rejected, "record_invalid")


async def test_one_record_may_fill_a_command(running: Lake) -> None:
    dataset = await running.create(
        [{"name": "text", "type": "string"}, {"name": "texts", "type": {"type": "array", "items": "string"}}]
    )
    record = {"text": noise(3_000_000), "texts": [noise(3_000_000)]}
    await running.append(dataset, [record, {"text": "", "texts": []}])
    assert await running.find(dataset) == [record, {"text": "", "texts": []}]


async def test_records_of_a_deleted_dataset_are_passed_over(running: Lake) -> None:
    dataset = await running.create(columns(1, "int"), partitions=4)
    for partition in range(4):
        await running.client.send(AppendRecords(records='[{"f0":1}]'), f"{dataset}:{partition}", wait=False)
    await running.send(DeleteDataset(), dataset)
    assert await running.find(await running.create(columns(1, "int"))) == []
