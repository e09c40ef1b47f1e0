"""Ingestions of files: how far each is, and how it ended."""

from __future__ import annotations

from collections.abc import Sequence

from datapunk import Projection, Recorded, Rows, projects
from datapunk.projection import update_row
from schemas.lake.events import (
    IngestionCancelled,
    IngestionCompleted,
    IngestionFailed,
    IngestionPaused,
    IngestionProgressed,
    IngestionRequested,
    IngestionResumed,
)
from schemas.lake.types import IngestionState


class Ingestions(Projection):
    """One row an ingestion."""

    module = "lake"
    name = "ingestions"

    @projects(IngestionRequested)
    async def requested(self, rows: Rows, events: Sequence[Recorded[IngestionRequested]]) -> None:
        """Add a row each."""
        async with rows.cursor() as cursor:
            await cursor.executemany(
                "insert into ingestions (tenant, id, dataset, source, requested_at, updated_at) "
                "values (%s, %s, %s, %s, %s, %s)",
                [(each.tenant, each.actor, each.event.dataset, each.event.source, each.at, each.at) for each in events],
            )

    @projects(IngestionProgressed)
    async def progressed(self, rows: Rows, events: Sequence[Recorded[IngestionProgressed]]) -> None:
        """How far it is."""
        for each in events:
            await update_row(rows, "ingestions", each, **_progress(each.event))

    @projects(IngestionPaused)
    async def paused(self, rows: Rows, events: Sequence[Recorded[IngestionPaused]]) -> None:
        """It rests."""
        for each in events:
            await update_row(rows, "ingestions", each, state=IngestionState.PAUSED.value, message=each.event.reason)

    @projects(IngestionResumed)
    async def resumed(self, rows: Rows, events: Sequence[Recorded[IngestionResumed]]) -> None:
        """It goes on."""
        for each in events:
            await update_row(rows, "ingestions", each, state=IngestionState.RUNNING.value, message="")

    @projects(IngestionCancelled)
    async def cancelled(self, rows: Rows, events: Sequence[Recorded[IngestionCancelled]]) -> None:
        """It's over."""
        for each in events:
            await update_row(rows, "ingestions", each, state=IngestionState.CANCELLED.value, message=each.event.reason)

    @projects(IngestionCompleted)
    async def completed(self, rows: Rows, events: Sequence[Recorded[IngestionCompleted]]) -> None:
        """It's over."""
        for each in events:
            state = IngestionState.COMPLETED.value
            await update_row(
                rows, "ingestions", each, state=state, rejects=each.event.rejects, message="", **_progress(each.event)
            )

    @projects(IngestionFailed)
    async def failed(self, rows: Rows, events: Sequence[Recorded[IngestionFailed]]) -> None:
        """It's over, and why."""
        for each in events:
            event, state = each.event, IngestionState.FAILED.value
            await update_row(
                rows, "ingestions", each, state=state, code=event.code, message=event.message, rejects=event.rejects
            )


def _progress(event: IngestionProgressed | IngestionCompleted) -> dict[str, int]:
    return {"rows": event.rows, "total": event.total, "bad": event.bad, "position": event.position}
