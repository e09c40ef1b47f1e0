"""`lake.IngestFile`: workers load a file in the background; each row is there once, or it's told why not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from actors.lake.module import lake
from datapunk.messages.outcome import Status
from datapunk.module import Module
from datapunk.testing.platform import Platform
from schemas.lake.commands import CancelIngestion, IngestFile, PauseIngestion, ResumeIngestion
from schemas.lake.queries import Dataset, GetDataset, GetIngestion, Ingestion
from schemas.lake.types import FileFormat, FileOptions, IngestionState
from tests.working import eventually

TOWNS = "id,name\n1,Oslo\n2,Bergen\n"
FIELDS = [{"name": "id", "type": "long"}, {"name": "name", "type": "string"}]
OVER = {IngestionState.COMPLETED, IngestionState.FAILED, IngestionState.CANCELLED}


@pytest.fixture
def modules() -> list[Module]:
    return [lake]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that workers may read."""
    folder = tmp_path / "data"
    folder.mkdir()
    monkeypatch.setenv("DATAPUNK_LAKE_FOLDERS", json.dumps([str(folder)]))
    monkeypatch.setenv("DATAPUNK_LAKE_URLS", '["http://localhost:1/allowed/"]')
    return folder


async def found(platform: Platform, id: str = "i") -> Ingestion:
    answer = await platform.ask(GetIngestion(ingestion=id))
    assert isinstance(answer, Ingestion)
    return answer


async def ended(platform: Platform, id: str = "i") -> Ingestion:
    async def look() -> Ingestion | None:
        ingestion = await found(platform, id)
        return ingestion if ingestion.state in OVER else None

    return await eventually(look, f"ingestion {id} is over")


async def records(platform: Platform, dataset: str, position: int) -> int:
    answer = await platform.client.ask(GetDataset(dataset=dataset), after_position=position)
    assert isinstance(answer, Dataset)
    return answer.summary.records


async def test_a_file_is_loaded(platform_with_workflows: Platform, folder: Path) -> None:
    platform = platform_with_workflows
    (folder / "towns.csv").write_text(TOWNS)
    await platform.send(IngestFile(dataset="towns", source="towns.csv", options=FileOptions(key="id")), "i")
    ingestion = await ended(platform)
    assert (ingestion.state, ingestion.code) == (IngestionState.COMPLETED, "")
    assert (ingestion.rows, ingestion.total, ingestion.bad) == (2, 2, 0)
    assert await records(platform, "towns", ingestion.position) == 2


REFUSED = [
    ("towns.csv", {}, "too_many_bad_rows"),
    ("nothing.csv", {}, "bad_file"),
    ("../secret.csv", {}, "source_forbidden"),
    ("/etc/passwd", {}, "source_forbidden"),
    ("link.csv", {}, "source_forbidden"),
    ("http://127.0.0.1:1/towns.csv", {}, "source_forbidden"),
    ("http://localhost:1/allowed/towns.csv", {}, "source_forbidden"),  # a private address
    ("towns.csv", {"format": FileFormat.PARQUET}, "bad_file"),
]


async def test_what_cannot_be_loaded_is_told(platform_with_workflows: Platform, folder: Path) -> None:
    platform = platform_with_workflows
    (folder / "towns.csv").write_text(TOWNS + "3,Molde,x\n")
    (folder.parent / "secret.csv").write_text(TOWNS)
    (folder / "link.csv").symlink_to(folder.parent / "secret.csv")
    for number, (source, options, _) in enumerate(REFUSED):
        command = IngestFile(dataset="towns", source=source, options=FileOptions(**options))
        await platform.send(command, f"i{number}")
    found = [await ended(platform, f"i{number}") for number in range(len(REFUSED))]
    assert [(each.state, each.code) for each in found] == [(IngestionState.FAILED, code) for _, _, code in REFUSED]
    assert [(each["row"], each["original"]) for each in json.loads(found[0].rejects)] == [(3, "3,Molde,x")]


async def test_long_bad_rows_fit_into_its_history(platform_with_workflows: Platform, folder: Path) -> None:
    rows = "".join(f"x{number},{'a' * 50_000}\n" for number in range(100))
    (folder / "towns.csv").write_text(f"id,name\n1,Oslo\n{rows}")
    schema = json.dumps({"type": "record", "name": "R", "fields": FIELDS})
    options = FileOptions(schema=schema, max_bad="100%")
    await platform_with_workflows.send(IngestFile(dataset="towns", source="towns.csv", options=options), "i")
    ingestion = await ended(platform_with_workflows)
    assert (ingestion.state, ingestion.rows, ingestion.bad) == (IngestionState.COMPLETED, 1, 100)
    assert len(json.loads(ingestion.rejects)) == 100


async def test_it_pauses_resumes_and_is_cancelled(
    platform_with_workflows: Platform, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    platform = platform_with_workflows
    monkeypatch.setattr("workflows.lake.files.delimited.CHUNK_BYTES", 64)
    rows = 400
    (folder / "towns.csv").write_text("id,name\n" + "".join(f"{number},Town {number}\n" for number in range(rows)))
    await platform.send(IngestFile(dataset="towns", source="towns.csv"), "i")
    await platform.send(PauseIngestion(reason="lunch"), "i")
    ingestion = await found(platform)
    assert (ingestion.state, ingestion.message) == (IngestionState.PAUSED, "lunch")
    await platform.send(ResumeIngestion(), "i")

    async def is_under_way() -> bool:
        return (await found(platform)).rows > 0

    await eventually(is_under_way, "rows are loaded")
    outcome = await platform.send(CancelIngestion(reason="enough"), "i")
    assert outcome.status is Status.Accepted
    assert (await ended(platform)).message == "enough"
    # the same file again adds what is missing
    await platform.send(IngestFile(dataset="towns", source="towns.csv"), "j")
    ingestion = await ended(platform, "j")
    assert (ingestion.state, ingestion.rows) == (IngestionState.COMPLETED, rows)
    assert await records(platform, "towns", ingestion.position) == rows
