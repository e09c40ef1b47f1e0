"""What a dataset accepts and rejects."""

from __future__ import annotations

import json

import pytest

from actors.lake.dataset import Dataset
from datapunk.testing import given
from schemas.lake.commands import CreateDataset, DeleteDataset, RenameDataset
from schemas.lake.events import DatasetCreated, DatasetDeleted, DatasetRenamed

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
    ],
)
def test_a_schema_must_be_fit_for_a_table(schema: str) -> None:
    given(Dataset).when(create(schema=schema)).rejects("schema_invalid")


@pytest.mark.parametrize("key", ["nothing", "celsius", "tags"])
def test_a_key_is_a_plain_field_that_is_always_there(key: str) -> None:
    given(Dataset).when(create(key=key)).rejects("key_invalid")


@pytest.mark.parametrize("field", ["nothing", "tags"])
def test_an_index_is_on_a_plain_field(field: str) -> None:
    given(Dataset).when(create(indexes=[field])).rejects("index_invalid")


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
