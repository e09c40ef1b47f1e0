"""Rows as commands: each in its partition, in the order of the file, under an id of its own that never changes."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.lake.partition import MAX_BYTES, MAX_RECORDS, partition_of
from tests.loading_files import load, schema_of
from workflows.lake.files.records import RECORDS

UUID = {"type": "string", "logicalType": "uuid"}


def lines(path: Path, *records: Any) -> Path:
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=5), min_size=1))
def test_records_go_where_lake_wants_them(tmp_path_factory: pytest.TempPathFactory, keys: list[str]) -> None:
    path = lines(tmp_path_factory.getbasetemp() / "keys.jsonl", *({"k": key, "n": n} for n, key in enumerate(keys)))
    loaded = load(path, schema=schema_of(k="string", n="long"), key="k", partitions=5)
    for portion in loaded.portions:
        records = json.loads(portion.records)
        assert {partition_of(record["k"], 5) for record in records} == {portion.partition}
        assert [record["n"] for record in records] == sorted(record["n"] for record in records)
    assert sum(portion.count for portion in loaded.portions) == len(keys)


@pytest.mark.parametrize(
    ("type", "value", "key"),
    [("long", -5, "-5"), (UUID, "6BA7B811-9dad-11d1-80b4-00c04fd430c8", "6ba7b811-9dad-11d1-80b4-00c04fd430c8")],
)
def test_keys_of_other_types_go_by_their_text(tmp_path: Path, type: Any, value: Any, key: str) -> None:
    loaded = load(lines(tmp_path / "a.jsonl", {"k": value}), schema=schema_of(k=type), key="k", partitions=64)
    assert [portion.partition for portion in loaded.portions] == [partition_of(key, 64)]


def test_ids_are_the_same_each_time_and_never_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workflows.lake.files.json_lines.CHUNK_BYTES", 64)
    monkeypatch.setattr("workflows.lake.files.records.RECORDS", 2)
    path = lines(tmp_path / "a.jsonl", *({"k": n} for n in range(100)))
    first, second = (load(path, partitions=3).portions for _ in range(2))
    assert first == second
    assert len({portion.id for portion in first}) == len(first) > 20


def test_without_a_key_all_partitions_get_some(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workflows.lake.files.records.RECORDS", 10)
    loaded = load(lines(tmp_path / "a.jsonl", *({"k": n} for n in range(100))), partitions=5)
    assert sorted(portion.partition for portion in loaded.portions) == sorted([0, 1, 2, 3, 4] * 2)


def test_commands_are_no_larger_than_lake_takes(tmp_path: Path) -> None:
    path = lines(tmp_path / "a.jsonl", *({"k": "æ" * 4_000} for _ in range(1_500)))
    loaded = load(path)
    assert sum(portion.count for portion in loaded.portions) == 1_500
    assert RECORDS <= MAX_RECORDS
    assert max(len(portion.records.encode()) for portion in loaded.portions) <= MAX_BYTES


@pytest.mark.parametrize(
    ("type", "text", "value"),
    [
        ("int", "5.0", 5),
        ("long", " 7 ", 7),
        ("boolean", "Yes", True),
        ("boolean", "0", False),
        ("string", "", ""),
        (["null", "string"], "", None),
        (["null", "long"], "NA", None),
        ("bytes", "AAH/", b"\0\1\xff"),
        ({"type": "fixed", "name": "F", "size": 3}, "AAH/", b"\0\1\xff"),
        ({"type": "bytes", "logicalType": "decimal", "precision": 5, "scale": 2}, "-1.50", Decimal("-1.50")),
        ({"type": "array", "items": "long"}, '"[1,2]"', [1, 2]),
    ],
)
def test_text_is_made_into_what_the_schema_says(tmp_path: Path, type: Any, text: str, value: Any) -> None:
    path = tmp_path / "a.csv"
    path.write_text(f"v,w\n{text},x\n")
    loaded = load(path, schema=schema_of(v=type, w="string"))
    assert loaded.rejects == []
    assert loaded.rows == [(value, "x")]


@pytest.mark.parametrize(
    ("type", "text"),
    [
        ("int", "5.5"),
        ("int", "2147483648"),
        ("boolean", "maybe"),
        (UUID, "6ba7b811"),
        ({"type": "enum", "name": "E", "symbols": ["A", "B"]}, "C"),
        ({"type": "fixed", "name": "F", "size": 3}, "AAA="),
        ({"type": "bytes", "logicalType": "decimal", "precision": 5, "scale": 2}, "1.505"),
        ({"type": "bytes", "logicalType": "decimal", "precision": 5, "scale": 2}, "1234.5"),
        ({"type": "long", "logicalType": "timestamp-millis"}, "2020-01-01T00:00:00.0005Z"),
        ({"type": "long", "logicalType": "timestamp-micros"}, "2020-01-01T00:00:00"),
        ({"type": "array", "items": "long"}, '"[1,x]"'),
    ],
)
def test_what_would_lose_something_is_set_aside(tmp_path: Path, type: Any, text: str) -> None:
    path = tmp_path / "a.csv"
    path.write_text(f"v,w\n{text},x\n")
    loaded = load(path, schema=schema_of(v=type, w="string"))
    assert loaded.rows == []
    assert [reject.column for reject in loaded.rejects] == ["v"]


AT = {
    "type": "record",
    "name": "At",
    "fields": [{"name": "x", "type": "long"}, {"name": "on", "type": ["null", {"type": "int", "logicalType": "date"}]}],
}


@pytest.mark.parametrize(
    ("value", "is_good"),
    [
        ({"x": 1, "on": "2020-02-29"}, True),
        ({"x": 1, "on": None}, True),
        ({"x": 1}, True),
        ({"x": None, "on": None}, False),
        ({"x": "a", "on": None}, False),
        ({"x": 1, "on": "2020-02-30"}, False),
        ({"x": 1, "on": None, "z": 5}, False),
        (5, False),
        (None, False),
    ],
)
def test_parts_of_structures_fit_or_the_row_is_set_aside(tmp_path: Path, value: Any, is_good: bool) -> None:
    loaded = load(
        lines(tmp_path / "a.jsonl", {"at": value, "n": 1}, {"at": {"x": 7}, "n": 2}), schema=schema_of(at=AT, n="long")
    )
    assert [row[1] for row in loaded.rows] == ([1, 2] if is_good else [2])
    assert [reject.row for reject in loaded.rejects] == ([] if is_good else [1])


@pytest.mark.parametrize(
    ("value", "is_good"),
    [([], True), ([{"x": 1}], True), ([{"x": 1}, {"x": None}], False), ([None], False), (None, False), ("x", False)],
)
def test_items_of_lists_fit_or_the_row_is_set_aside(tmp_path: Path, value: Any, is_good: bool) -> None:
    path = lines(tmp_path / "a.jsonl", {"at": [{"x": 5}, {"x": 6}], "n": 1}, {"at": value, "n": 2})
    loaded = load(path, schema=schema_of(at={"type": "array", "items": AT}, n="long"))
    assert [row[1] for row in loaded.rows] == ([1, 2] if is_good else [1])
    assert [part.x for part in loaded.rows[0][0]] == [5, 6]
