"""`datapunk lake load`: rows of files become records that queries find; once, however often it's run."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

from schemas.lake.queries import Dataset, GetDataset
from schemas.lake.types import Order
from tests.projections.lake.running import Lake
from tests.workflows.lake.conftest import Datapunk

TOWNS = "id,name,founded\n1,Oslo,1040\n2,Bergen,1070\n3,Tromsø,NA\n"


def write(path: Path, text: str) -> str:
    path.write_text(text, encoding="utf-8")
    return str(path)


async def test_a_file_becomes_a_dataset(datapunk: Datapunk, lake: Lake, tmp_path: Path) -> None:
    file = write(tmp_path / "towns.csv", TOWNS)
    ended = await datapunk("lake", "load", "towns", file, "--key", "id", "--index", "name", "--json")
    assert ended.status == 0, ended.err
    lake.position = ended.json["position"]
    assert (ended.json["rows"], ended.json["bad"], ended.json["records"]) == (3, 0, 3)
    assert await lake.find("towns", order=[Order(field="id")]) == [
        {"id": 1, "name": "Oslo", "founded": 1040},
        {"id": 2, "name": "Bergen", "founded": 1070},
        {"id": 3, "name": "Tromsø", "founded": None},
    ]
    dataset = await lake.client.ask(GetDataset(dataset="towns"))
    assert isinstance(dataset, Dataset)
    assert (dataset.key, dataset.indexes) == ("id", ["name"])


async def test_the_same_file_again_adds_nothing_unless_it_is_meant(
    datapunk: Datapunk, lake: Lake, tmp_path: Path
) -> None:
    file = write(tmp_path / "towns.csv", TOWNS)
    counts = []
    for again in ([], [], ["--again", "2"], ["--again", "2"]):
        ended = await datapunk("lake", "load", "towns", file, "--json", *again)
        assert ended.status == 0, ended.err
        counts.append(ended.json["records"])
    assert counts == [3, 3, 6, 6]


async def test_several_files_are_loaded_packed_or_not(datapunk: Datapunk, lake: Lake, tmp_path: Path) -> None:
    write(tmp_path / "a.csv", TOWNS)
    (tmp_path / "b.csv.gz").write_bytes(gzip.compress(b"id,name,founded\n4,Molde,1742\n"))
    ended = await datapunk("lake", "load", "towns", f"{tmp_path}/*.csv*", "--json")
    assert ended.status == 0, ended.err
    assert ended.json["records"] == 4


async def test_bad_rows_stop_all_unless_they_may_be_set_aside(datapunk: Datapunk, lake: Lake, tmp_path: Path) -> None:
    good, bad = write(tmp_path / "good.csv", TOWNS), write(tmp_path / "bad.csv", "id,name,founded\nx,Molde,1742\n")
    assert (await datapunk("lake", "load", "towns", good)).status == 0
    refused = await datapunk("lake", "load", "towns", good, bad, "--again", "2")
    assert refused.status == 1
    assert "too_many_bad_rows: 1 of 4 rows don't fit, and 0 may" in refused.err
    assert "row 1, column id: not a long: 'x'" in refused.err
    (tmp_path / "towns.rejects.jsonl").unlink()
    ended = await datapunk("lake", "load", "towns", good, bad, "--again", "2", "--max-bad", "25%", "--json")
    assert (ended.json["rows"], ended.json["bad"], ended.json["records"]) == (3, 1, 6)
    reject = json.loads((tmp_path / "towns.rejects.jsonl").read_text())
    assert (reject["row"], reject["original"]) == (1, "x,Molde,1742")


async def test_a_dry_run_loads_nothing(datapunk: Datapunk, lake: Lake, tmp_path: Path) -> None:
    ended = await datapunk("lake", "load", "towns", write(tmp_path / "towns.csv", TOWNS), "--dry-run", "--json")
    assert ended.json == {"rows": 3, "bad": 0}
    refused = await datapunk("query", "lake.GetDataset", "--data", '{"dataset":"towns"}')
    assert "dataset_unknown" in refused.err


async def test_what_lake_refuses_is_told(datapunk: Datapunk, lake: Lake, tmp_path: Path) -> None:
    ended = await datapunk(
        "lake", "load", "towns", write(tmp_path / "towns.csv", TOWNS), "--key", "name", "--index", "nowhere"
    )
    assert ended.status == 1
    assert "index_invalid: the schema has no field 'nowhere'" in ended.err


async def test_a_schema_is_shown_saved_edited_and_given(datapunk: Datapunk, lake: Lake, tmp_path: Path) -> None:
    file, schema = write(tmp_path / "towns.csv", TOWNS), tmp_path / "towns.avsc"
    shown = await datapunk("lake", "load", "towns", file, "--show-schema", "--save-schema", str(schema))
    assert shown.status == 0, shown.err
    assert json.loads(shown.out) == json.loads(schema.read_text())
    schema.write_text(schema.read_text().replace('"long"', '"int"'))
    ended = await datapunk("lake", "load", "towns", file, "--schema", str(schema), "--json")
    assert ended.json["rows"] == 3
    lake.position = ended.json["position"]
    assert [each["founded"] for each in await lake.find("towns")] == [1040, 1070, None]


async def test_a_schema_needs_no_servers(datapunk: Datapunk, tmp_path: Path) -> None:
    shown = await datapunk(
        "lake", "load", "towns", write(tmp_path / "towns.csv", TOWNS), "--show-schema", DATAPUNK_BROKER_URL="amqp://x/"
    )
    assert [field["name"] for field in json.loads(shown.out)["fields"]] == ["id", "name", "founded"]
