"""A file into a dataset, in the background: looked through once, then loaded a few parts at a time.

What reads files is loaded by the activities alone, so that a worker without them runs the rest of Lake.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING

from temporalio import activity, workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError, ApplicationError

from datapunk import Recorded
from datapunk.temporal import CommandRejected, Platform, send, signalled_by, started_by
from schemas.lake.commands import CompleteIngestion, FailIngestion, RecordProgress
from schemas.lake.events import (
    IngestionCancelled,
    IngestionPaused,
    IngestionRequested,
    IngestionResumed,
)

if TYPE_CHECKING:
    from workflows.lake.files.ingesting import Ingesting

AT_ONCE = 2  # parts that are loaded at a time
PARTS_A_RUN = 500  # then the workflow begins anew: its history would grow beyond what Temporal bears
SILENCE = timedelta(seconds=15)  # of an activity whose worker counts as dead then
LOOKING = timedelta(hours=12)  # for all of the file once
LOADING = timedelta(hours=1)  # for a part of it
REST = "rest"  # in the memo
PATIENCE = RetryPolicy(initial_interval=timedelta(seconds=1), maximum_interval=timedelta(seconds=30))


@dataclass(frozen=True)
class Request:
    """What is to be loaded, for whom, and as which ingestion."""

    requested: IngestionRequested
    tenant: str
    ingestion: str = ""


@dataclass(frozen=True)
class Prepared:
    """A file that was looked through.

    Attributes:
        schema: of the dataset, which is there.
        key: of the dataset.
        partitions: of the dataset.
        indexes: of the dataset.
        digest: SHA-256 of the file.
        rows: that it has.
        bad: rows among them that are set aside.
        rejects: the first of these, as JSON text.
        parts: of the file, each some chunks: start, end, first row, rows.
    """

    schema: str
    key: str | None
    partitions: int
    indexes: list[str]
    digest: str
    rows: int
    bad: int
    rejects: str
    parts: list[list[list[int]]] = field(default_factory=list[list[list[int]]])


@dataclass(frozen=True)
class Done:
    """What was loaded: rows that are durable, and the highest position of their events."""

    rows: int = 0
    position: int = 0

    def __add__(self, other: Done) -> Done:
        return Done(self.rows + other.rows, max(self.position, other.position))


@dataclass(frozen=True)
class Rest:
    """Where a workflow goes on that began anew, with an empty history; in its memo."""

    digest: str
    done: Done
    next_part: int
    is_paused: bool


class IngestingFiles:
    """The activities. They find out by themselves what is sent already: ids of commands derive from the file."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._made: Ingesting | None = None

    @activity.defn
    async def look_through(self, request: Request) -> Prepared:
        """Check every row, set those aside that don't fit, and see that the dataset is there."""
        return await self._ingesting.look_through(request)

    @activity.defn
    async def load_part(self, request: Request, prepared: Prepared, chunks: list[list[int]]) -> Done:
        """Send the rows of some chunks, and wait until they're durable."""
        return await self._ingesting.load_part(request, prepared, chunks)

    @property
    def _ingesting(self) -> Ingesting:
        if self._made is None:
            from workflows.lake.files.errors import require_polars

            require_polars()
            from workflows.lake.files.ingesting import Ingesting

            self._made = Ingesting(self._platform)
        return self._made


@workflow.defn
class IngestFileWorkflow:
    """From the request to the last row; pausing and cancelling count between two parts."""

    def __init__(self) -> None:
        self._is_paused = False
        self._is_cancelled = False
        self._done = Done()
        self._prepared: Prepared | None = None

    @workflow.run
    @started_by(IngestionRequested, about=lambda requested: [requested.event.dataset])
    async def run(self, requested: Recorded[IngestionRequested]) -> Done:
        """The whole of it."""
        id, next_part = requested.actor, 0
        request = Request(requested.event, requested.tenant, id)
        rest = workflow.memo_value(REST, None, type_hint=Rest)
        if rest is not None:
            next_part, self._done = rest.next_part, rest.done
            self._is_paused |= rest.is_paused
        try:
            prepared = self._prepared = await self._look_through(request)
            if rest is not None and rest.digest != prepared.digest:
                raise ApplicationError(f"{request.requested.source} changed while it was loaded", type="file_changed")
            await send(self._progress(prepared), id)
            await self._load(requested, request, prepared, next_part)
            if not self._is_cancelled:
                await send(self._completion(prepared), id)
        except CommandRejected as error:
            if error.code != "ingestion_over":  # cancelled, and the signal is on its way
                raise
        except (ActivityError, ApplicationError) as error:
            cause = error.cause if isinstance(error, ActivityError) else error
            if not isinstance(cause, ApplicationError):
                raise
            await self._fail(cause, id)
        return self._done

    @workflow.signal
    @signalled_by(IngestionPaused)
    def paused(self, event: Recorded[IngestionPaused]) -> None:
        """Begin no further part."""
        self._is_paused = True

    @workflow.signal
    @signalled_by(IngestionResumed)
    def resumed(self, event: Recorded[IngestionResumed]) -> None:
        """Go on."""
        self._is_paused = False

    @workflow.signal
    @signalled_by(IngestionCancelled)
    def cancelled(self, event: Recorded[IngestionCancelled]) -> None:
        """End."""
        self._is_cancelled = True

    @workflow.query
    def progress(self) -> dict[str, int]:
        """Rows so far, and in all, as Temporal's web UI shows them."""
        return {"rows": self._done.rows, "of": self._prepared.rows if self._prepared else 0}

    async def _look_through(self, request: Request) -> Prepared:
        return await workflow.execute_activity_method(
            IngestingFiles.look_through,
            request,
            start_to_close_timeout=LOOKING,
            heartbeat_timeout=SILENCE,
            retry_policy=PATIENCE,
            summary=request.requested.source,
        )

    async def _load(
        self, requested: Recorded[IngestionRequested], request: Request, prepared: Prepared, next_part: int
    ) -> None:
        """Several parts at a time; those under way are awaited when it's paused, and given up when it's cancelled."""
        under_way: set[asyncio.Task[Done]] = set()
        end = min(next_part + PARTS_A_RUN, len(prepared.parts))
        while under_way or next_part < end:
            while not self._is_paused and next_part < end and len(under_way) < AT_ONCE:
                under_way.add(asyncio.create_task(self._load_part(request, prepared, next_part)))
                next_part += 1
            await workflow.wait_condition(partial(self._must_act, under_way))
            if self._is_cancelled:
                for task in under_way:
                    task.cancel()
                await asyncio.gather(*under_way, return_exceptions=True)
                return
            ended = [task for task in under_way if task.done()]
            under_way = {task for task in under_way if not task.done()}
            for task in ended:
                self._done += await task
            if ended:
                await send(self._progress(prepared), requested.actor)
        if next_part < len(prepared.parts):
            rest = Rest(prepared.digest, self._done, next_part, self._is_paused)
            workflow.continue_as_new(requested, memo={**workflow.memo(), REST: rest})

    def _must_act(self, under_way: set[asyncio.Task[Done]]) -> bool:
        is_waiting = bool(under_way) or self._is_paused
        return self._is_cancelled or not is_waiting or any(task.done() for task in under_way)

    async def _load_part(self, request: Request, prepared: Prepared, number: int) -> Done:
        return await workflow.execute_activity_method(
            IngestingFiles.load_part,
            args=[request, _without_parts(prepared), prepared.parts[number]],
            start_to_close_timeout=LOADING,
            heartbeat_timeout=SILENCE,
            retry_policy=PATIENCE,
            summary=f"part {number + 1} of {len(prepared.parts)}",
        )

    async def _fail(self, cause: ApplicationError, id: str) -> None:
        details = cause.details
        rejects = details[0] if details and isinstance(details[0], str) else "[]"
        await send(FailIngestion(code=cause.type or "error", message=cause.message, rejects=rejects), id)

    def _progress(self, prepared: Prepared) -> RecordProgress:
        return RecordProgress(rows=self._done.rows, total=prepared.rows, bad=prepared.bad, position=self._done.position)

    def _completion(self, prepared: Prepared) -> CompleteIngestion:
        return CompleteIngestion(
            rows=self._done.rows,
            total=prepared.rows,
            bad=prepared.bad,
            position=self._done.position,
            rejects=prepared.rejects,
        )


def _without_parts(prepared: Prepared) -> Prepared:
    return Prepared(
        prepared.schema,
        prepared.key,
        prepared.partitions,
        prepared.indexes,
        prepared.digest,
        prepared.rows,
        prepared.bad,
        prepared.rejects,
    )
