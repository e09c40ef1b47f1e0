"""`stream.GetPipeline` and `stream.ListPipelines`."""

from __future__ import annotations

from typing import Any

from datapunk import Asked, Rejected, answers
from projections.stream.pipelines import Pipelines
from schemas.stream.queries import GetPipeline, ListPipelines, Pipeline, PipelineList
from schemas.stream.types import PipelineState, PipelineSummary, PipelineVersion

MAX_PAGE = 1000  # pipelines
MAX_VERSIONS = 100
SUMMARY = """
    select id, description, version, state, reason, created_at, updated_at
    from stream_pipelines.pipelines where tenant = %s
"""
VERSIONS = """
    select version, text, output, defined_at
    from stream_pipelines.versions where tenant = %s and id = %s order by version desc limit %s
"""


@answers(GetPipeline, Pipelines)
async def get_pipeline(query: GetPipeline, asked: Asked) -> Pipeline:
    """One pipeline, or `pipeline_unknown`."""
    cursor = await asked.rows.execute(f"{SUMMARY} and id = %s", (asked.tenant, query.pipeline))
    row = await cursor.fetchone()
    if row is None:
        raise Rejected("pipeline_unknown", f"there is no pipeline {query.pipeline}")
    cursor = await asked.rows.execute(VERSIONS, (asked.tenant, query.pipeline, MAX_VERSIONS))
    versions = [
        PipelineVersion(version=version, text=text, output=output, defined_at=defined_at)
        for version, text, output, defined_at in await cursor.fetchall()
    ]
    return Pipeline(summary=_summary(row), versions=versions)


@answers(ListPipelines, Pipelines)
async def list_pipelines(query: ListPipelines, asked: Asked) -> PipelineList:
    """A page of pipelines by id."""
    if not 1 <= query.limit <= MAX_PAGE:
        raise Rejected("limit_invalid", f"limit must be 1 to {MAX_PAGE}, not {query.limit}")
    state = None if query.state is None else query.state.value
    cursor = await asked.rows.execute(
        f"{SUMMARY} and starts_with(id, %s) and id > %s and (%s::text is null or state = %s) order by id limit %s",
        (asked.tenant, query.prefix, query.after or "", state, state, query.limit + 1),
    )
    found = [_summary(row) for row in await cursor.fetchall()]
    page = found[: query.limit]
    return PipelineList(pipelines=page, next=page[-1].pipeline if len(found) > query.limit else None)


def _summary(row: Any) -> PipelineSummary:
    id, description, version, state, reason, created_at, updated_at = row
    return PipelineSummary(
        pipeline=id,
        description=description,
        version=version,
        state=PipelineState(state),
        reason=reason,
        created_at=created_at,
        updated_at=updated_at,
    )
