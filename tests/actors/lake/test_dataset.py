"""What a dataset accepts and rejects."""

from __future__ import annotations

import json
from typing import Any

import pytest

from actors.lake.dataset import Dataset
from datapunk.testing import given
from schemas.lake.commands import CreateDataset, DeleteDataset, RenameDataset, SetRetention
from schemas.lake.events import DatasetCreated, DatasetDeleted, DatasetRenamed, RetentionSet

WEATHER = json.dumps(
    {
        "type": "record",
        "name": "Weather",
        "fields": [
            {"name": "station", "type": "string"},
            {"name": "celsius", "type": ["null", "double"]},
            {"name": "tags", "type": {"type": "array", "items": "string"}},
        ],
    }
)


def record_of(*fields: tuple[str, Any]) -> str:
    """A schema of these fields."""
    return json.dumps(
        {"type": "record", "name": "R", "fields": [{"name": name, "type": avro} for name, avro in fields]}
    )


CREATED = DatasetCreated(name="Weather", schema=WEATHER)


def create(**changed: object) -> CreateDataset:
    return CreateDataset(**{"name": "Weather", "schema": WEATHER, **changed})  # type: ignore[arg-type]


def test_a_dataset_is_created() -> None:
    command = create(key="station", partitions=2, indexes=["celsius"], description="Hourly.")
    created = DatasetCreated(
        name="Weather",
        schema=WEATHER,
        key="station",
        partitions=2,
        indexes=["celsius"],
        description="Hourly.",
    )
    given(Dataset, id="weather").when(command).then(created).state(key="station", partitions=2)


def test_a_dataset_is_created_once() -> None:
    given(Dataset, CREATED).when(create()).rejects("dataset_exists")


def test_the_id_of_a_deleted_dataset_stays_taken() -> None:
    given(Dataset, CREATED, DatasetDeleted()).when(create()).rejects("dataset_exists")


@pytest.mark.parametrize("id", ["", "Weather", "1st", "a b", "a/b", "a:b", "x" * 64, "é"])
def test_an_id_must_be_plain(id: str) -> None:
    given(Dataset, id=id).when(create()).rejects("dataset_id_invalid")


@pytest.mark.parametrize("name", ["", "  ", "x" * 201])
def test_a_name_is_neither_blank_nor_endless(name: str) -> None:
    given(Dataset).when(create(name=name)).rejects("name_invalid")
    given(Dataset, CREATED).when(RenameDataset(name=name)).rejects("name_invalid")


def test_a_description_is_not_endless() -> None:
    assert given(Dataset).when(create(description="x" * 2000)).events
    given(Dataset).when(create(description="x" * 2001)).rejects("description_invalid")


@pytest.mark.parametrize("partitions", [-1, 0, 65])
def test_partitions_are_bounded(partitions: int) -> None:
    given(Dataset).when(create(partitions=partitions)).rejects("partitions_invalid")


@pytest.mark.parametrize(
    "schema",
    [
        "no JSON",
        "[]",
        '"string"',
        '{"type":"record","name":"R"}',
        '{"type":"record","name":"R","fields":[]}',
        '{"type":"record","name":"R","fields":[{"name":"a","type":"strange"}]}',
        '{"type":"record","name":"R","fields":[{"name":"_a","type":"int"}]}',
        '{"type":"record","name":"R","fields":[{"name":"a","type":"int"},{"name":"A","type":"int"}]}',
        '{"type":"record","name":"R","fields":[{"name":"' + "a" * 64 + '","type":"int"}]}',
        '{"type":"record","name":"R","fields":[{"name":"a","type":"int"},{"name":"a","type":"int"}]}',
    ],
)
def test_a_schema_must_be_fit_for_a_table(schema: str) -> None:
    given(Dataset).when(create(schema=schema)).rejects("schema_invalid")


@pytest.mark.parametrize(
    "name", ["", "1a", "a b", "a-b", "é", 'a"; drop table x; --', "a: int\n    import os\n    b", "a=print(1)", "a\0"]
)
def test_a_field_has_a_name_that_avro_allows(name: str) -> None:
    given(Dataset).when(create(schema=record_of((name, "int")))).rejects("schema_invalid")


@pytest.mark.parametrize("name", ["select", "class", "xmin", "ctid", "oid", "None", "A", "a" * 63])
def test_a_field_may_have_any_name_that_avro_allows(name: str) -> None:
    assert given(Dataset).when(create(schema=record_of((name, "int")), indexes=[name])).events


@pytest.mark.parametrize(
    "avro",
    [
        "unknown",
        [],
        ["int", "int"],
        [["int"]],
        {"type": "array"},
        {"type": "fixed", "name": "F", "size": 0},
        {"type": "enum", "name": "E", "symbols": []},
        {"type": "enum", "name": "E", "symbols": ["a b"]},
        {"type": "long", "logicalType": "date"},
        {"type": "string", "logicalType": "decimal", "precision": 3},
        {"type": "bytes", "logicalType": "decimal"},
        {"type": "bytes", "logicalType": "decimal", "precision": 1001},
        {"type": "bytes", "logicalType": "decimal", "precision": 3, "scale": 4},
    ],
)
def test_a_type_is_one_that_avro_allows(avro: Any) -> None:
    given(Dataset).when(create(schema=record_of(("a", avro)))).rejects("schema_invalid")


@pytest.mark.parametrize(("avro", "default"), [("int", "x"), ("int", 2**31), ("string", "\0"), ("double", 10**400)])
def test_a_default_is_a_value_of_its_type(avro: str, default: Any) -> None:
    field = {"name": "a", "type": avro, "default": default}
    schema = json.dumps({"type": "record", "name": "R", "fields": [field]})
    given(Dataset).when(create(schema=schema)).rejects("schema_invalid")


@pytest.mark.parametrize(
    ("avro", "most"),
    [
        ("string", 285),
        (["null", "string"], 285),
        ({"type": "array", "items": "int"}, 285),
        ("long", 666),
        ({"type": "string", "logicalType": "uuid"}, 500),
        ("int", 1000),
    ],
)
def test_a_row_must_fit_a_page(avro: Any, most: int) -> None:
    fields = [(f"f{number}", avro) for number in range(most + 1)]
    assert given(Dataset).when(create(schema=record_of(*fields[:most]))).events
    given(Dataset).when(create(schema=record_of(*fields))).rejects("schema_invalid")


FIELDS = record_of(
    ("text", "string"),
    ("uuid", {"type": "string", "logicalType": "uuid"}),
    ("int", "int"),
    ("long", "long"),
    ("suit", {"type": "enum", "name": "Suit", "symbols": ["SPADES"]}),
    ("double", "double"),
    ("flag", "boolean"),
    ("date", {"type": "int", "logicalType": "date"}),
    ("at", {"type": "long", "logicalType": "timestamp-micros"}),
    ("data", "bytes"),
    ("some", ["null", "string"]),
    ("wide", ["int", "string"]),
    ("list", {"type": "array", "items": "int"}),
    ("map", {"type": "map", "values": "int"}),
    ("inner", {"type": "record", "name": "Inner", "fields": [{"name": "a", "type": "int"}]}),
)


@pytest.mark.parametrize("key", ["text", "uuid", "int", "long", "suit"])
def test_a_key_may_be_text_a_uuid_a_whole_number_or_a_symbol(key: str) -> None:
    assert given(Dataset).when(create(schema=FIELDS, key=key)).events


@pytest.mark.parametrize(
    "key", ["nothing", "", "double", "flag", "date", "at", "data", "some", "wide", "list", "map", "inner"]
)
def test_a_key_is_a_plain_field_that_is_always_there(key: str) -> None:
    given(Dataset).when(create(schema=FIELDS, key=key)).rejects("key_invalid")


@pytest.mark.parametrize("fields", [["nothing"], [""], ["wide"], ["list"], ["map"], ["inner"], ["int", "int"]])
def test_an_index_is_on_a_plain_field_once(fields: list[str]) -> None:
    given(Dataset).when(create(schema=FIELDS, indexes=fields)).rejects("index_invalid")


def test_indexes_are_bounded() -> None:
    names = [f"f{number}" for number in range(17)]
    schema = record_of(*((name, "int") for name in names))
    assert given(Dataset).when(create(schema=schema, indexes=names[:16])).events
    given(Dataset).when(create(schema=schema, indexes=names)).rejects("index_invalid")


def test_a_dataset_is_renamed() -> None:
    renamed = DatasetRenamed(name="Clouds", previous="Weather")
    given(Dataset, CREATED).when(RenameDataset(name="Clouds")).then(renamed).state(name="Clouds")


def test_renaming_to_the_present_name_changes_nothing() -> None:
    given(Dataset, CREATED).when(RenameDataset(name="Weather")).then()


def test_a_dataset_is_deleted_once() -> None:
    given(Dataset, CREATED).when(DeleteDataset(reason="old")).then(DatasetDeleted(reason="old"))
    given(Dataset, CREATED, DatasetDeleted()).when(DeleteDataset()).rejects("dataset_deleted")


@pytest.mark.parametrize("command", [RenameDataset(name="x"), DeleteDataset()])
def test_what_does_not_exist_can_not_be_changed(command: RenameDataset | DeleteDataset) -> None:
    given(Dataset).when(command).rejects("dataset_unknown")
    given(Dataset, CREATED, DatasetDeleted()).when(command).rejects("dataset_deleted")


DAY = {"type": "int", "logicalType": "date"}
KEPT = DatasetCreated(name="Weather", schema=record_of(("station", "string"), ("day", DAY), ("at", ["null", DAY])))


@pytest.mark.parametrize(("days", "field"), [(1, None), (36_500, "day"), (7, "at")])
def test_retention_is_set_once_and_can_end(days: int, field: str | None) -> None:
    kept = RetentionSet(days=days, field=field)
    given(Dataset, KEPT).when(SetRetention(days=days, field=field)).then(kept)
    given(Dataset, KEPT, kept).when(SetRetention(days=days, field=field)).then()
    given(Dataset, KEPT, kept).when(SetRetention()).then(RetentionSet())


@pytest.mark.parametrize(
    ("days", "field"), [(0, None), (-1, None), (36_501, None), (1, "nowhere"), (1, "station"), (None, "day")]
)
def test_retention_must_make_sense(days: int | None, field: str | None) -> None:
    given(Dataset, KEPT).when(SetRetention(days=days, field=field)).rejects("retention_invalid")


def test_a_dataset_that_is_gone_keeps_nothing() -> None:
    given(Dataset, KEPT, DatasetDeleted()).when(SetRetention(days=1)).rejects("dataset_deleted")
