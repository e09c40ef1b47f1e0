"""`datapunk lake dump`: a dataset's rows in a file, which loads as they were."""

from __future__ import annotations

import json
import os
from datetime import UTC, date, datetime, time
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

from tests.loading_files import load
from tests.projections.lake.running import Lake
from tests.workflows.lake.conftest import Datapunk

FIELDS = [
    {"name": "number", "type": "int"},
    {"name": "name", "type": ["null", "string"]},
    {"name": "size", "type": ["null", "double"]},
    {"name": "is_open", "type": "boolean"},
    {"name": "built", "type": {"type": "int", "logicalType": "date"}},
    {"name": "opens", "type": {"type": "long", "logicalType": "time-micros"}},
    {"name": "changed", "type": ["null", {"type": "long", "logicalType": "timestamp-millis"}]},
    {"name": "local", "type": {"type": "long", "logicalType": "local-timestamp-micros"}},
    {"name": "price", "type": {"type": "bytes", "logicalType": "decimal", "precision": 6, "scale": 2}},
    {"name": "raw", "type": "bytes"},
    {"name": "tags", "type": {"type": "array", "items": ["null", "string"]}},
    {
        "name": "at",
        "type": [
            "null",
            {
                "type": "record",
                "name": "At",
                "fields": [
                    {"name": "x", "type": ["null", "long"]},
                    {"name": "when", "type": {"type": "int", "logicalType": "date"}},
                ],
            },
        ],
    },
]
FULL = {
    "number": 1,
    "name": {"string": 'Café "Ø",\n1'},
    "size": {"double": 0.1},
    "is_open": True,
    "built": 20_000,
    "opens": 36_000_000_001,
    "changed": {"long": 1_700_000_000_123},
    "local": 1_700_000_000_123_456,
    "price": "0\u0039",
    "raw": "\u0001\u00ff",
    "tags": [{"string": "a,b"}, None],
    "at": {"test.At": {"x": {"long": 5}, "when": 20_000}},
}
EMPTY = FULL | {"number": 2, "name": None, "size": None, "changed": None, "tags": [], "at": None, "is_open": False}
BLANK = FULL | {"number": 3, "name": {"string": ""}, "at": {"test.At": {"x": None, "when": 0}}}
ROW = (
    1,
    'Café "Ø",\n1',
    0.1,
    True,
    date(2024, 10, 4),
    time(10, 0, 0, 1),
    datetime(2023, 11, 14, 22, 13, 20, 123_000, tzinfo=UTC),
    datetime(2023, 11, 14, 22, 13, 20, 123_456),
    Decimal("123.45"),
    b"\x01\xff",
    ["a,b", None],
)


@pytest.fixture
async def dumped(lake: Lake) -> Lake:
    """Three rows of all types, in two partitions."""
    await lake.create(FIELDS, id="places", partitions=2)
    await lake.append("places", [FULL, EMPTY], 0)
    await lake.append("places", [BLANK], 1)
    await lake.page("places")
    return lake


NAMES = ["a.csv", "a.tsv.gz", "a.jsonl", "a.jsonl.zst", "a.parquet", "a.arrow", "a.avro"]


async def test_a_dump_loads_as_it_was(datapunk: Datapunk, dumped: Lake, tmp_path: Path) -> None:
    for name in NAMES:
        ended = await datapunk("lake", "dump", "places", name, "--json")
        assert ended.status == 0, ended.err
        assert ended.json["rows"] == 3
        schema = json.dumps({"type": "record", "name": "Row", "namespace": "test", "fields": FIELDS})
        loaded = load(tmp_path / name, schema=schema)
        assert loaded.rejects == [], name
        first, second, third = loaded.rows
        assert first[:-1] == ROW, name
        assert (first[-1].x, first[-1].when) == (5, date(2024, 10, 4))
        assert (second[1], second[2], second[6], second[10], second[11]) == (None, None, None, [], None)
        assert (third[1], third[-1].x, third[-1].when) == ("", None, date(1970, 1, 1))


async def test_only_rows_that_meet_all_conditions_are_written(datapunk: Datapunk, dumped: Lake, tmp_path: Path) -> None:
    ended = await datapunk(
        "lake", "dump", "places", "a.parquet", "--where", "number >= 2", "--where", "built=2024-10-04", "--json"
    )
    assert ended.json["rows"] == 2, ended.err
    assert pl.read_parquet(tmp_path / "a.parquet").get_column("number").to_list() == [2, 3]


REFUSED = [
    (["nowhere", "a.csv"], "there is no dataset nowhere"),
    (["places", "a.xyz"], "tells no format"),
    (["places", "there.csv"], "is there already"),
    (["places", "a.parquet.gz"], "packed within"),
    (["places", "a.csv", "--where", "x"], "a condition is a field"),
    (["places", "a.csv", "--where", "x = 1"], "has no field x"),
    (["places", "a.csv", "--where", "number = one"], "is a number"),
    (["places", "nowhere/a.csv"], "can't be written"),
    (["places", "nowhere/a.parquet"], "can't be written"),
]


async def test_what_cannot_be_written_is_told_and_leaves_nothing(
    datapunk: Datapunk, dumped: Lake, tmp_path: Path
) -> None:
    (tmp_path / "there.csv").touch()
    for arguments, told in REFUSED:
        ended = await datapunk("lake", "dump", *arguments)
        assert ended.status == 1
        assert told in ended.err
    assert os.listdir(tmp_path) == ["there.csv"]  # noqa: PTH208
