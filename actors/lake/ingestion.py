"""The ingestion of a file: what was asked for, how far it is, how it ended. A workflow does the work."""

from __future__ import annotations

import re

from actors.lake.dataset import ID, MAX_PARTITIONS
from datapunk import Actor, Rejected, applies, handles
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
from schemas.lake.types import FileOptions, IngestionState

MAX_SOURCE = 4_000  # characters
MAX_ROWS = 1_000  # that come with a request
MAX_ROW_BYTES = 512 * 1024  # of them in all: a workflow is given them, and Temporal takes 2 MiB
MAX_BAD = re.compile(r"\d{1,18}|\d{1,3}(\.\d+)?%")


class Ingestion(Actor):
    """One file on its way into a dataset."""

    state: IngestionState | None = None
    rows: int = 0

    @handles(IngestFile)
    def request(self, command: IngestFile) -> IngestionRequested:
        """An ingestion is requested once."""
        if self.state is not None:
            raise Rejected("ingestion_exists", f"ingestion {self.id} was requested already; choose another id")
        options = command.options or FileOptions()
        _check(command.dataset, command.source, options)
        return IngestionRequested(dataset=command.dataset, source=command.source, options=options)

    @handles(IngestRows)
    def request_rows(self, command: IngestRows) -> IngestionRequested:
        """The same for rows that come with the request."""
        if self.state is not None:
            raise Rejected("ingestion_exists", f"ingestion {self.id} was requested already; choose another id")
        options, source = command.options or FileOptions(), command.source or "rows"
        _check(command.dataset, source, options)
        size = sum(len(row.original.encode()) + len(row.raw or b"") for row in command.rows)
        if not 1 <= len(command.rows) <= MAX_ROWS or size > MAX_ROW_BYTES:
            raise Rejected(
                "ingestion_invalid",
                f"a request carries 1 to {MAX_ROWS:,} rows, of {MAX_ROW_BYTES:,} bytes in all; what is more, is a file",
            )
        return IngestionRequested(
            dataset=command.dataset, source=source, options=options, header=command.header, rows=command.rows
        )

    @handles(PauseIngestion)
    def pause(self, command: PauseIngestion) -> IngestionPaused | None:
        """What is paused already stays so."""
        self._must_go_on()
        return None if self.state is IngestionState.PAUSED else IngestionPaused(reason=command.reason)

    @handles(ResumeIngestion)
    def resume(self, command: ResumeIngestion) -> IngestionResumed | None:
        """What isn't paused goes on anyway."""
        self._must_go_on()
        return IngestionResumed() if self.state is IngestionState.PAUSED else None

    @handles(CancelIngestion)
    def cancel(self, command: CancelIngestion) -> IngestionCancelled:
        """From here on it begins nothing."""
        self._must_go_on()
        return IngestionCancelled(reason=command.reason)

    @handles(RecordProgress)
    def record(self, command: RecordProgress) -> IngestionProgressed:
        """Parts that were under way when it was paused still count."""
        self._must_go_on()
        return IngestionProgressed(rows=command.rows, total=command.total, bad=command.bad, position=command.position)

    @handles(CompleteIngestion)
    def complete(self, command: CompleteIngestion) -> IngestionCompleted:
        """It's over."""
        self._must_go_on()
        return IngestionCompleted(
            rows=command.rows,
            total=command.total,
            bad=command.bad,
            position=command.position,
            rejects=command.rejects,
        )

    @handles(FailIngestion)
    def fail(self, command: FailIngestion) -> IngestionFailed:
        """It's over, and why."""
        self._must_go_on()
        return IngestionFailed(code=command.code, message=command.message, rejects=command.rejects)

    @applies(IngestionRequested)
    def requested(self, event: IngestionRequested) -> None:
        """Remember that it's there."""
        self.state = IngestionState.RUNNING

    @applies(IngestionResumed)
    def resumed(self, event: IngestionResumed) -> None:
        """Remember that it goes on."""
        self.state = IngestionState.RUNNING

    @applies(IngestionPaused)
    def paused(self, event: IngestionPaused) -> None:
        """Remember that it rests."""
        self.state = IngestionState.PAUSED

    @applies(IngestionProgressed)
    def progressed(self, event: IngestionProgressed) -> None:
        """Remember how far it is."""
        self.rows = event.rows

    @applies(IngestionCancelled)
    def cancelled(self, event: IngestionCancelled) -> None:
        """Remember that it's over."""
        self.state = IngestionState.CANCELLED

    @applies(IngestionCompleted)
    def completed(self, event: IngestionCompleted) -> None:
        """Remember that it's over."""
        self.state, self.rows = IngestionState.COMPLETED, event.rows

    @applies(IngestionFailed)
    def failed(self, event: IngestionFailed) -> None:
        """Remember that it's over."""
        self.state = IngestionState.FAILED

    def _must_go_on(self) -> None:
        if self.state is None:
            raise Rejected("ingestion_unknown", f"there is no ingestion {self.id}")
        if self.state not in (IngestionState.RUNNING, IngestionState.PAUSED):
            raise Rejected("ingestion_over", f"ingestion {self.id} is {self.state.value.lower()}")


def _check(dataset: str, source: str, options: FileOptions) -> None:
    """Reject what no workflow need try.

    Raises:
        Rejected: `ingestion_invalid`.
    """
    wrong = None
    if not ID.fullmatch(dataset):
        wrong = f"{dataset!r} can't be a dataset's id"
    elif not source.strip() or len(source) > MAX_SOURCE:
        wrong = f"a source has 1 to {MAX_SOURCE:,} characters"
    elif not MAX_BAD.fullmatch(options.max_bad):
        wrong = f"max_bad is a number of rows or a share of them, as in 100 or 0.5%, and not {options.max_bad!r}"
    elif options.delimiter is not None and (
        len(options.delimiter) != 1 or not options.delimiter.isascii() or options.delimiter in '"\r\n'
    ):
        wrong = "a delimiter is one character of ASCII, and no quote or line end"
    elif not 1 <= options.partitions <= MAX_PARTITIONS:
        wrong = f"partitions must be 1 to {MAX_PARTITIONS}, not {options.partitions}"
    if wrong is not None:
        raise Rejected("ingestion_invalid", wrong)
