"""How Stream plugs in."""

from __future__ import annotations

from actors.stream.pipeline import Pipeline
from datapunk import Module
from projections.stream.find_pipelines import get_pipeline, list_pipelines
from projections.stream.pipelines import Pipelines

stream = Module(
    name="stream",
    schemas="schemas.stream",
    actors=[Pipeline],
    projections=[Pipelines],
    queries=[get_pipeline, list_pipelines],
    description="Pipelines: filter, join and aggregate events as they come. Defined and checked; not run yet.",
)
