"""Bad files, by `datapunk lake load` and by ingestions alike: a clear error, and nothing gets lost."""

from __future__ import annotations

import gzip
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from actors.lake.module import lake
from datapunk.module import Module
from datapunk.testing.platform import Platform
from schemas.lake.commands import CreateDataset, IngestFile
from schemas.lake.queries import Dataset, FindRecords, GetDataset, RecordPage
from schemas.lake.types import FileOptions, IngestionState
from tests.small_disk import small_disk
from tests.unprivileged import unprivileged
from tests.workflows.lake.bad_sources import FREE_EXPANSION, SCHEMA, SOURCES, write_sources
from tests.workflows.lake.conftest import Datapunk
from tests.workflows.lake.test_ingest_file import ended, folder
from workflows.lake.files import ingesting, loading
from workflows.lake.files.plan import Plan

__all__ = ["folder"]  # a fixture

ROWS = sum(source.rows for source in SOURCES)
BIG = b"id,name\n" + b"".join(b"%d,%s\n" % (number, os.urandom(20).hex().encode()) for number in range(5_000))
BAD = BIG.replace(b"\n", b"\nx")


@pytest.fixture
def modules() -> list[Module]:
    return [lake]


@pytest.fixture
async def towns(platform_with_workflows: Platform) -> Platform:
    """Lake, with an empty dataset."""
    command = CreateDataset(name="Towns", schema=SCHEMA, partitions=1)
    await platform_with_workflows.send(command, "towns")
    return platform_with_workflows


@pytest.fixture
def sources(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The files; one of them is written to while it's read, and of permissions nobody is free."""
    write_sources(folder)
    plan_of = Plan.of

    def of(file: Any, options: Any) -> Plan:
        plan = plan_of(file, options)
        if file.name.endswith("changing.csv"):
            with file.path.open("ab") as more:
                more.write(b"3,Molde\n")
        return plan

    def forbidden(open: Callable[..., Any]) -> Callable[..., Any]:
        def opened(*arguments: Any) -> Any:
            with unprivileged():
                return open(*arguments)

        return opened

    monkeypatch.setattr(Plan, "of", of)
    monkeypatch.setattr(ingesting, "_opened", forbidden(ingesting._opened))
    monkeypatch.setattr(loading.Load, "_open", forbidden(loading.Load._open))
    monkeypatch.setattr("workflows.lake.files.unpacking.FREE_EXPANSION", FREE_EXPANSION)
    return folder


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path / "disk", "64k") as disk:
        yield disk


def names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


async def count(platform: Platform) -> int:
    """How many rows can be found."""
    found = await platform.ask(GetDataset(dataset="towns"))
    page = await platform.ask(FindRecords(dataset="towns"))
    assert isinstance(found, Dataset)
    assert isinstance(page, RecordPage)
    assert found.summary.records == page.count
    return page.count


async def test_a_load_of_a_bad_file_tells_what_is_wrong(datapunk: Datapunk, towns: Platform, sources: Path) -> None:
    for source in SOURCES:
        file = str(sources / source.name)
        with capture_logs():
            answer = await datapunk("lake", "load", "towns", file, "--json", *source.arguments)
        if source.code:
            assert (answer.status, answer.out) == (1, ""), source.name
            assert source.code in answer.err, source.name
            assert source.told in answer.err, source.name
        else:
            assert answer.status == 0, answer.err
            assert (answer.json["rows"], answer.json["bad"]) == (source.rows, source.bad), source.name
    assert await count(towns) == ROWS
    _check_untouched(sources)


async def test_an_ingestion_of_a_bad_file_tells_what_is_wrong(towns: Platform, sources: Path) -> None:
    for number, source in enumerate(SOURCES):
        command = IngestFile(dataset="towns", source=source.name, options=source.file_options)
        await towns.send(command, f"i{number}")
    for number, source in enumerate(SOURCES):
        found = await ended(towns, f"i{number}")
        assert (found.code, found.rows, found.bad if not found.code else 0) == (source.code, source.rows, source.bad)
        assert source.told in found.message, source.name
    assert await count(towns) == ROWS
    _check_untouched(sources)


def _check_untouched(folder: Path) -> None:
    for source in SOURCES:
        if source.data is not None and source.code != "file_changed":
            assert (folder / source.name).read_bytes() == source.data


async def test_a_load_onto_a_full_disk_says_so(
    datapunk: Datapunk, towns: Platform, folder: Path, disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "bad.csv").write_bytes(BAD)
    (folder / "packed.csv.gz").write_bytes(gzip.compress(BIG))
    rejects = ["--max-bad", "100%", "--rejects", str(disk / "rejects.jsonl")]
    answer = await datapunk("lake", "load", "towns", str(folder / "bad.csv"), *rejects)
    assert (answer.status, names(disk)) == (1, [])
    assert f"no_room: no room left to write {disk}/rejects.jsonl" in answer.err
    with monkeypatch.context() as patched:
        patched.setattr(tempfile, "tempdir", str(disk))
        answer = await datapunk("lake", "load", "towns", str(folder / "packed.csv.gz"))
    assert (answer.status, names(disk)) == (1, [])
    assert "TMPDIR says where it lies" in answer.err
    assert await count(towns) == 0

    answer = await datapunk("lake", "load", "towns", str(folder / "packed.csv.gz"))
    assert answer.status == 0, answer.err
    (disk / "towns.csv").write_text("earlier")
    answer = await datapunk("lake", "dump", "towns", str(disk / "towns.csv"), "--overwrite")
    assert answer.status == 1
    assert f"no_room: no room left to write {disk}/towns.csv" in answer.err
    assert (names(disk), (disk / "towns.csv").read_text()) == (["towns.csv"], "earlier")


async def test_an_ingestion_onto_a_full_disk_says_so(
    towns: Platform, folder: Path, disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "bad.csv").write_bytes(BAD)
    (folder / "packed.csv.gz").write_bytes(gzip.compress(BIG))
    monkeypatch.setenv("DATAPUNK_LAKE_REJECTS", str(disk))
    options = FileOptions(max_bad="100%")
    await towns.send(IngestFile(dataset="towns", source="bad.csv", options=options), "i")
    found = await ended(towns, "i")
    assert (found.state, found.code, names(disk)) == (IngestionState.FAILED, "no_room", [])
    assert f"no room left to write {disk}/default.i.rejects.jsonl" in found.message
    monkeypatch.setattr(tempfile, "tempdir", str(disk))
    await towns.send(IngestFile(dataset="towns", source="packed.csv.gz"), "j")
    found = await ended(towns, "j")
    assert (found.state, found.code, names(disk)) == (IngestionState.FAILED, "no_room", [])
    assert await count(towns) == 0
