"""What a partition accepts and rejects."""

from __future__ import annotations

import json
import zlib
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given as for_all
from hypothesis import strategies as st

from actors.lake.partition import Partition, partition_of
from datapunk.messages.message import Event
from datapunk.testing import Given, given
from schemas.lake.commands import AppendRecords, ExpireRecords
from schemas.lake.events import DatasetCreated, DatasetDeleted, RecordsAppended, RecordsExpired, RetentionSet

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


def test_one_bad_record_of_thousands_rejects_them_all() -> None:
    records = [record("a")] * 4998 + [{"station": "a", "celsius": {"double": "cold"}}] + [record("a")]
    when = partition().when(append(*records)).rejects("record_invalid")
    assert when.rejection is not None
    assert "$[4998].celsius" in when.rejection.message


def test_a_command_has_so_many_bytes_at_most() -> None:
    assert partition().when(append(record("x" * 7_000_000))).events
    partition().when(append(record("x" * 8_000_000))).rejects("records_size")


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


KEYS: dict[str, tuple[Any, st.SearchStrategy[Any]]] = {
    "string": ("string", st.text(st.characters(exclude_characters="\0", codec="utf-8"))),
    "int": ("int", st.integers(-(2**31), 2**31 - 1)),
    "long": ("long", st.integers(-(2**63), 2**63 - 1)),
    "enum": ({"type": "enum", "name": "E", "symbols": ["A", "mro"]}, st.sampled_from(["A", "mro"])),
    "uuid": ({"type": "string", "logicalType": "uuid"}, st.uuids().map(str)),
}


@pytest.mark.parametrize("name", ["key", "class"])
@pytest.mark.parametrize("kind", KEYS)
@for_all(data=st.data())
def test_the_partition_of_a_key_is_the_crc_32_of_its_text(kind: str, name: str, data: st.DataObject) -> None:
    avro, keys = KEYS[kind]
    schema = json.dumps({"type": "record", "name": "R", "fields": [{"name": name, "type": avro}]})
    dataset = [DatasetCreated(name="R", schema=schema, key=name, partitions=7)]
    key = data.draw(keys)
    rightful = zlib.crc32(str(key).encode()) % 7
    assert partition(id=f"r:{rightful}", dataset=dataset).when(append({name: key})).events
    wrong = partition(id=f"r:{(rightful + 1) % 7}", dataset=dataset).when(append({name: key}))
    wrong.rejects("partition_wrong")
    assert wrong.rejection is not None
    assert f"partition {rightful}" in wrong.rejection.message


def test_the_way_a_uuid_is_written_does_not_count() -> None:
    schema = json.dumps({"type": "record", "name": "R", "fields": [{"name": "key", "type": KEYS["uuid"][0]}]})
    dataset = [DatasetCreated(name="R", schema=schema, key="key", partitions=64)]
    key = "6BA7B811-9DAD-11D1-80B4-00C04FD430C8"
    rightful = zlib.crc32(key.lower().encode()) % 64
    assert partition(id=f"r:{rightful}", dataset=dataset).when(append({"key": key})).events


@pytest.mark.parametrize("value", ["x" * 2001, "é" * 1001])
def test_an_indexed_value_is_short(value: str) -> None:
    indexed = DatasetCreated(name="Weather", schema=SCHEMA, indexes=["station"], partitions=2)
    when = partition(dataset=[indexed]).when(append(record("a"), record(value))).rejects("record_invalid")
    assert when.rejection is not None
    assert "record 1: station has" in when.rejection.message
    assert partition().when(append(record(value))).events


TREE = json.dumps(
    {
        "type": "record",
        "name": "Tree",
        "fields": [
            {"name": "below", "type": {"type": "array", "items": "Tree"}},
            {"name": "left", "type": ["null", "Tree"], "default": None},
            {"name": "named", "type": {"type": "map", "values": "Tree"}, "default": {}},
        ],
    }
)


@pytest.mark.parametrize(
    ("head", "tail"),
    [('{"below":[', "]}"), ('{"below":[],"left":{"Tree":', "}}"), ('{"below":[],"named":{"a":', "}}")],
)
def test_records_in_records_end_somewhere(head: str, tail: str) -> None:
    dataset = [DatasetCreated(name="Tree", schema=TREE)]
    for depth, is_accepted in ((20, True), (100, False), (100_000, False)):
        text = head * depth + '{"below":[]}' + tail * depth
        when = partition(id="tree:0", dataset=dataset).when(AppendRecords(records=f"[{text}]"))
        assert bool(when.events) == is_accepted
        if not is_accepted:
            when.rejects("record_invalid")


BEFORE = datetime(2026, 1, 1, tzinfo=UTC)
APPENDED = RecordsAppended(dataset="weather", partition=0, first=0, count=5, records="[]")
KEPT = (UNKEYED, RetentionSet(days=7))


def expire(until: int, count: int, expired: int, field: str | None = None) -> ExpireRecords:
    return ExpireRecords(until=until, count=count, expired=expired, field=field, before=BEFORE)


def expired(until: int, count: int) -> RecordsExpired:
    return RecordsExpired(dataset="weather", partition=0, until=until, count=count, before=BEFORE)


def test_old_records_go_and_are_counted_once() -> None:
    partition(APPENDED, dataset=KEPT).when(expire(2, 2, 0)).then(expired(2, 2)).state(expired=2, records=5)
    partition(APPENDED, expired(2, 2), dataset=KEPT).when(expire(2, 2, 0)).rejects("expiry_outdated")
    partition(APPENDED, expired(2, 2), dataset=KEPT).when(expire(4, 2, 2)).then(expired(4, 2))


@pytest.mark.parametrize(("until", "count"), [(0, 0), (6, 1), (3, 0), (3, 4), (-1, -1)])
def test_what_is_not_there_cannot_go(until: int, count: int) -> None:
    partition(APPENDED, dataset=KEPT).when(expire(until, count, 0)).rejects("expiry_invalid")


@pytest.mark.parametrize("retention", [[], [RetentionSet(days=1), RetentionSet()], [RetentionSet(days=1, field="day")]])
def test_records_go_only_by_the_rule_that_holds(retention: Sequence[Event]) -> None:
    partition(APPENDED, dataset=[UNKEYED, *retention]).when(expire(2, 2, 0)).rejects("retention_changed")


def test_of_a_deleted_dataset_nothing_goes() -> None:
    partition(APPENDED, dataset=[*KEPT, DatasetDeleted()]).when(expire(2, 2, 0)).rejects("dataset_deleted")
