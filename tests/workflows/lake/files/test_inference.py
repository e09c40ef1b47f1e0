"""What schema is made of a file: the narrowest type that loses nothing of any value."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.loading_files import load
from workflows.lake.files.errors import BadFile

DATE = {"type": "int", "logicalType": "date"}
INSTANT = {"type": "long", "logicalType": "timestamp-micros"}
LOCAL = {"type": "long", "logicalType": "local-timestamp-micros"}
UUID = {"type": "string", "logicalType": "uuid"}
SOME_UUID = "6ba7b811-9dad-11d1-80b4-00c04fd430c8"


def inferred(path: Path, *values: str, **options: Any) -> Any:
    path.write_text("value,other\n" + "".join(f"{value},x\n" for value in values))
    return load(path, **options).fields["value"]


@pytest.mark.parametrize(
    ("values", "type"),
    [
        (["1", "-2", "0"], "long"),
        (["9223372036854775807"], "long"),
        (["1", "2.5"], "double"),
        (["1e3", "-0.5", ".5"], "double"),
        (["true", "False"], "boolean"),
        (["2020-02-29"], DATE),
        (["2020-02-29T10:00:00Z", "2020-02-29 10:00:00.5+02:00"], INSTANT),
        (["2020-02-29T10:00:00", "2020-02-29 10:00"], LOCAL),
        ([SOME_UUID, SOME_UUID.upper()], UUID),
        (["Oslo"], "string"),
        # what would come back otherwise than it was, or not at all
        (["007", "1"], "string"),
        (["+1"], "string"),
        (["00.5"], "string"),
        (["9223372036854775808"], "string"),
        (["9223372036854775807", "0.5"], "string"),
        (["inf", "1.5"], "string"),
        (["1", "x"], "string"),
        (["2020-02-29", "2020-02-30"], "string"),
        (["2020-02-29", "2020-02-29T10:00:00"], "string"),
        (["true", "1"], "string"),
        (["NA"], "string"),
    ],
)
def test_text_becomes_the_narrowest_type_that_all_values_have(tmp_path: Path, values: list[str], type: Any) -> None:
    assert inferred(tmp_path / "table.csv", *values) == type


@pytest.mark.parametrize("nothing", ["", "NA", "null", "NaN"])
def test_a_column_of_numbers_may_lack_some(tmp_path: Path, nothing: str) -> None:
    assert inferred(tmp_path / "table.csv", "1", nothing) == ["null", "long"]


def test_a_text_is_a_text_unless_it_is_said_to_be_nothing(tmp_path: Path) -> None:
    """NA is Namibia, too."""
    path = tmp_path / "table.csv"
    assert inferred(path, "NA", "SE") == "string"
    assert inferred(path, "NA", "SE", nulls=("NA",)) == ["null", "string"]


def test_what_is_seen_late_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workflows.lake.files.delimited.CHUNK_BYTES", 16)
    assert inferred(tmp_path / "table.csv", *["1"] * 50, "x") == "string"


def test_names_become_those_of_avro(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text("Dep. time (local),_id,2nd\n1,2,3\n")
    fields = json.loads(load(path).schema)["fields"]
    assert [(each["name"], each["doc"]) for each in fields] == [
        ("Dep_time_local", "Dep. time (local)"),
        ("id", "_id"),
        ("c_2nd", "2nd"),
    ]


def test_lines_of_json_may_lack_fields(tmp_path: Path) -> None:
    path = tmp_path / "table.jsonl"
    path.write_text('{"a":1,"b":{"x":[1.5]}}\n{"a":2.5}\n{"a":3,"c":"x"}\n')
    loaded = load(path)
    assert loaded.fields["a"] == "double"
    assert loaded.fields["c"] == ["null", "string"]
    assert loaded.rows[1] == (2.5, None, None)


def test_types_that_change_between_chunks_become_the_wider(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workflows.lake.files.json_lines.CHUNK_BYTES", 16)
    path = tmp_path / "table.jsonl"
    path.write_text('{"a":1}\n' * 5 + '{"a":0.5}\n')
    loaded = load(path)
    assert loaded.fields["a"] == "double"
    assert [row[0] for row in loaded.rows] == [1.0] * 5 + [0.5]


def test_types_that_never_fit_each_other_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workflows.lake.files.json_lines.CHUNK_BYTES", 16)
    path = tmp_path / "table.jsonl"
    path.write_text('{"a":1}\n' * 5 + '{"a":{"x":1}}\n')
    with pytest.raises(BadFile, match="column a changes its type midway"):
        load(path)


@pytest.mark.parametrize(
    ("values", "type"),
    [
        (["5", '{"x":7}'], "string"),
        (["5", '"5"', "true"], "string"),
        (["[1]", "5"], "string"),
        (['{"x":5}', '{"x":{"y":1}}'], "string"),
        (["[1]", "[[1]]"], "string"),
        (["1", "2.5", "null"], ["null", "double"]),
    ],
)
def test_values_of_several_kinds_become_text(tmp_path: Path, values: list[str], type: Any) -> None:
    path = tmp_path / "table.jsonl"
    path.write_text("".join(f'{{"a":{value},"b":1}}\n' for value in values))
    loaded = load(path)
    assert loaded.fields == {"a": type, "b": "long"}
    assert loaded.rejects == []
    if type == "string":
        assert [json.loads(row[0]) if row[0][0] in "[{" else row[0] for row in loaded.rows] == [
            json.loads(value) if value[0] in "[{" else value.strip('"') for value in values
        ]
