"""Ingestion: what may be asked of it when."""

from __future__ import annotations

import pytest

from actors.lake.ingestion import Ingestion
from datapunk.messages.message import Command, Event
from datapunk.testing import given
from schemas.lake.commands import (
    CancelIngestion,
    CompleteIngestion,
    FailIngestion,
    IngestFile,
    IngestRows,
    PauseIngestion,
    RecordProgress,
    ResumeIngestion,
)
from schemas.lake.events import (
    IngestionCancelled,
    IngestionCompleted,
    IngestionFailed,
    IngestionPaused,
    IngestionProgressed,
    IngestionRequested,
    IngestionResumed,
)
from schemas.lake.types import BadRow, FileOptions

REQUEST = IngestFile(dataset="towns", source="towns.csv")
REQUESTED = IngestionRequested(dataset="towns", source="towns.csv", options=FileOptions())
PAUSED = IngestionPaused(reason="lunch")
PROGRESS = {"rows": 1, "total": 2, "bad": 0, "position": 7}
COMPLETED = IngestionCompleted(**PROGRESS)
OVER = [COMPLETED, IngestionCancelled(), IngestionFailed(code="bad_file", message="no")]


def test_rows_are_requested_like_a_file_once() -> None:
    rows = [BadRow(row=7, original="7,Oslo")]
    request = IngestRows(dataset="towns", source="towns.csv, row 7", header="id,name", rows=rows)
    requested = IngestionRequested(
        dataset="towns", source="towns.csv, row 7", options=FileOptions(), header="id,name", rows=rows
    )
    given(Ingestion).when(request).then(requested)
    given(Ingestion, requested).when(request).rejects("ingestion_exists")


@pytest.mark.parametrize("rows", [[], [BadRow(row=1, original="x")] * 1_001, [BadRow(row=1, original="x" * 600_000)]])
def test_a_request_has_some_rows_and_not_too_many(rows: list[BadRow]) -> None:
    given(Ingestion).when(IngestRows(dataset="towns", rows=rows)).rejects("ingestion_invalid")


def test_a_file_is_requested_once() -> None:
    given(Ingestion).when(REQUEST).then(REQUESTED)
    given(Ingestion, REQUESTED).when(REQUEST).rejects("ingestion_exists")


@pytest.mark.parametrize(
    "request_",
    [
        IngestFile(dataset="Towns!", source="a"),
        IngestFile(dataset="towns", source=" "),
        IngestFile(dataset="towns", source="a" * 4_001),
        IngestFile(dataset="towns", source="a", options=FileOptions(max_bad="many")),
        IngestFile(dataset="towns", source="a", options=FileOptions(delimiter=",,")),
        IngestFile(dataset="towns", source="a", options=FileOptions(delimiter='"')),
        IngestFile(dataset="towns", source="a", options=FileOptions(partitions=65)),
    ],
)
def test_what_makes_no_sense_is_refused(request_: IngestFile) -> None:
    given(Ingestion).when(request_).rejects("ingestion_invalid")


@pytest.mark.parametrize(
    ("command", "event"),
    [
        (PauseIngestion(reason="lunch"), PAUSED),
        (CancelIngestion(reason="enough"), IngestionCancelled(reason="enough")),
        (RecordProgress(**PROGRESS), IngestionProgressed(**PROGRESS)),
        (CompleteIngestion(**PROGRESS), COMPLETED),
        (FailIngestion(code="bad_file", message="no"), IngestionFailed(code="bad_file", message="no")),
    ],
)
def test_what_goes_on_may_be_paused_cancelled_and_ended(command: Command, event: Event) -> None:
    given(Ingestion).when(command).rejects("ingestion_unknown")
    given(Ingestion, REQUESTED).when(command).then(event)
    for over in OVER:
        given(Ingestion, REQUESTED, over).when(command).rejects("ingestion_over")


def test_pausing_and_resuming_twice_changes_nothing() -> None:
    given(Ingestion, REQUESTED, PAUSED).when(PauseIngestion()).then()
    given(Ingestion, REQUESTED).when(ResumeIngestion()).then()
    given(Ingestion, REQUESTED, PAUSED).when(ResumeIngestion()).then(IngestionResumed())


def test_parts_that_were_under_way_when_it_was_paused_count() -> None:
    given(Ingestion, REQUESTED, PAUSED).when(RecordProgress(**PROGRESS)).then(IngestionProgressed(**PROGRESS))
