"""What a partition accepts and rejects."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given as for_all
from hypothesis import strategies as st

from actors.lake.partition import Partition, partition_of
from datapunk.messages.message import Event
from datapunk.testing import Given, given
from schemas.lake.commands import AppendRecords
from schemas.lake.events import DatasetCreated, DatasetDeleted, RecordsAppended

SCHEMA = json.dumps(
    {
        "type": "record",
        "name": "Weather",
        "fields": [{"name": "station", "type": "string"}, {"name": "celsius", "type": ["null", "double"]}],
    }
)
KEYED = DatasetCreated(name="Weather", schema=SCHEMA, key="station", partitions=2)
UNKEYED = DatasetCreated(name="Weather", schema=SCHEMA, partitions=2)


def record(station: str) -> dict[str, Any]:
    return {"station": station, "celsius": {"double": 1.5}}


def append(*records: dict[str, Any]) -> AppendRecords:
    return AppendRecords(records=json.dumps(records))


def partition(*history: Event, id: str = "weather:0", dataset: Sequence[Event] = (UNKEYED,)) -> Given:
    return given(Partition, *history, id=id, dataset=dataset)


def test_records_are_appended_and_numbered_without_a_gap() -> None:
    first, second = append(record("a"), record("b")), append(record("c"))
    before = RecordsAppended(dataset="weather", partition=0, first=0, count=2, records=first.records)
    after = RecordsAppended(dataset="weather", partition=0, first=2, count=1, records=second.records)
    partition(before).when(second).then(after).state(records=3)


def test_a_dataset_must_exist() -> None:
    partition(dataset=[]).when(append(record("a"))).rejects("dataset_unknown")
    partition(dataset=[UNKEYED, DatasetDeleted()]).when(append(record("a"))).rejects("dataset_deleted")


@pytest.mark.parametrize("id", ["weather:2", "weather:-1", "weather:x", "weather:", "weather:00", "weather:²"])
def test_a_partition_must_exist(id: str) -> None:
    partition(id=id).when(append(record("a"))).rejects("partition_unknown")


@pytest.mark.parametrize(
    "records",
    [
        "",
        "{}",
        "[1]",
        '[{"station":"a"}]',
        '[{"station":1,"celsius":null}]',
        '[{"station":"a","celsius":1.5}]',
    ],
)
def test_all_records_must_fit_the_schema(records: str) -> None:
    partition().when(AppendRecords(records=records)).rejects("record_invalid")


def test_the_message_tells_which_record_is_wrong() -> None:
    when = partition().when(append(record("a"), {"station": "b", "celsius": 2}))
    assert when.rejection is not None
    assert "$[1].celsius" in when.rejection.message


def test_a_command_has_one_to_five_thousand_records() -> None:
    partition().when(append()).rejects("records_count")
    partition().when(append(*[record("a")] * 5001)).rejects("records_count")
    assert partition().when(append(*[record("a")] * 5000)).events


@for_all(st.lists(st.text(st.characters(exclude_characters="\0", codec="utf-8")), min_size=1, max_size=20))
def test_a_record_is_accepted_by_the_partition_of_its_key_and_no_other(stations: list[str]) -> None:
    for station in stations:
        rightful = partition_of(station, 2)
        command = append(record(station))
        assert partition(id=f"weather:{rightful}", dataset=[KEYED]).when(command).events
        partition(id=f"weather:{1 - rightful}", dataset=[KEYED]).when(command).rejects("partition_wrong")
