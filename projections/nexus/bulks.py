"""Bulk work on dead letters: how far each is, and how it ended."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from datapunk import Projection, Recorded, Rows, projects
from datapunk.projection import update_row
from schemas.nexus.events import (
    BulkCancelled,
    BulkCompleted,
    BulkPaused,
    BulkProgressed,
    BulkResumed,
    BulkStarted,
)
from schemas.nexus.types import BulkState


class Bulks(Projection):
    """One row each."""

    module = "nexus"
    name = "bulks"

    @projects(BulkStarted)
    async def started(self, rows: Rows, events: Sequence[Recorded[BulkStarted]]) -> None:
        """Add a row each."""
        async with rows.cursor() as cursor:
            await cursor.executemany(
                "insert into bulks (tenant, id, act, filter, rate, state, by, why, started_at, updated_at) "
                "values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
                [
                    (
                        each.tenant,
                        each.actor,
                        each.event.act.value,
                        msgspec.json.encode(each.event.filter).decode(),
                        each.event.rate,
                        BulkState.Running.value,
                        each.event.by,
                        each.event.why,
                        each.at,
                        each.at,
                    )
                    for each in events
                ],
            )

    @projects(BulkProgressed)
    async def progressed(self, rows: Rows, events: Sequence[Recorded[BulkProgressed]]) -> None:
        """How far it is."""
        for each in events:
            await update_row(rows, "bulks", each, **_progress(each.event))

    @projects(BulkPaused)
    async def paused(self, rows: Rows, events: Sequence[Recorded[BulkPaused]]) -> None:
        """It rests."""
        for each in events:
            await update_row(rows, "bulks", each, state=BulkState.Paused.value, message=_told(each.event))

    @projects(BulkResumed)
    async def resumed(self, rows: Rows, events: Sequence[Recorded[BulkResumed]]) -> None:
        """It goes on."""
        for each in events:
            await update_row(rows, "bulks", each, state=BulkState.Running.value, message="")

    @projects(BulkCancelled)
    async def cancelled(self, rows: Rows, events: Sequence[Recorded[BulkCancelled]]) -> None:
        """It's over."""
        for each in events:
            await update_row(rows, "bulks", each, state=BulkState.Cancelled.value, message=_told(each.event))

    @projects(BulkCompleted)
    async def completed(self, rows: Rows, events: Sequence[Recorded[BulkCompleted]]) -> None:
        """It's over."""
        for each in events:
            await update_row(rows, "bulks", each, state=BulkState.Completed.value, message="", **_progress(each.event))


def _told(event: BulkPaused | BulkCancelled) -> str:
    return ": ".join(filter(None, (event.by, event.why)))


def _progress(event: BulkProgressed | BulkCompleted) -> dict[str, int]:
    return {"total": event.total, "done": event.done, "refused": event.refused}
