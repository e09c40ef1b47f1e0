"""The list of pipelines, and all versions of their definitions."""

from __future__ import annotations

from collections.abc import Sequence

from datapunk import Projection, Recorded, Rows, projects
from schemas.stream.events import (
    PipelineDefined,
    PipelineDraining,
    PipelinePaused,
    PipelineResumed,
    PipelineStopped,
)
from schemas.stream.types import PipelineState


class Pipelines(Projection):
    """One row a pipeline, and one a version."""

    module = "stream"
    name = "pipelines"

    @projects(PipelineDefined)
    async def defined(self, rows: Rows, events: Sequence[Recorded[PipelineDefined]]) -> None:
        """Add a version each; the first one adds the pipeline."""
        async with rows.cursor() as cursor:
            await cursor.executemany(
                """
                insert into pipelines (tenant, id, description, version, created_at, updated_at)
                values (%s, %s, %s, %s, %s, %s)
                on conflict (tenant, id) do update set
                    description = excluded.description, version = excluded.version, updated_at = excluded.updated_at
                """,
                [
                    (
                        recorded.tenant,
                        recorded.actor,
                        recorded.event.description,
                        recorded.event.version,
                        recorded.at,
                        recorded.at,
                    )
                    for recorded in events
                ],
            )
            await cursor.executemany(
                "insert into versions (tenant, id, version, text, output, defined_at) values (%s, %s, %s, %s, %s, %s)",
                [
                    (
                        recorded.tenant,
                        recorded.actor,
                        recorded.event.version,
                        recorded.event.text,
                        recorded.event.output,
                        recorded.at,
                    )
                    for recorded in events
                ],
            )

    @projects(PipelinePaused)
    async def paused(self, rows: Rows, events: Sequence[Recorded[PipelinePaused]]) -> None:
        """It holds back."""
        await self._set(rows, PipelineState.Paused, events)

    @projects(PipelineResumed)
    async def resumed(self, rows: Rows, events: Sequence[Recorded[PipelineResumed]]) -> None:
        """It goes on."""
        await self._set(rows, PipelineState.Running, events)

    @projects(PipelineDraining)
    async def draining(self, rows: Rows, events: Sequence[Recorded[PipelineDraining]]) -> None:
        """It ends once all is out."""
        await self._set(rows, PipelineState.Draining, events)

    @projects(PipelineStopped)
    async def stopped(self, rows: Rows, events: Sequence[Recorded[PipelineStopped]]) -> None:
        """It's over."""
        await self._set(rows, PipelineState.Stopped, events)

    async def _set(
        self,
        rows: Rows,
        state: PipelineState,
        events: Sequence[
            Recorded[PipelinePaused]
            | Recorded[PipelineResumed]
            | Recorded[PipelineDraining]
            | Recorded[PipelineStopped]
        ],
    ) -> None:
        async with rows.cursor() as cursor:
            await cursor.executemany(
                "update pipelines set state = %s, reason = %s, updated_at = %s where tenant = %s and id = %s",
                [
                    (state.value, getattr(recorded.event, "reason", ""), recorded.at, recorded.tenant, recorded.actor)
                    for recorded in events
                ],
            )
