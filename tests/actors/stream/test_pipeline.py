"""What a pipeline accepts and rejects."""

from __future__ import annotations

import json
from typing import Any

import pytest

from actors.stream.pipeline import Pipeline
from datapunk.testing import given
from schemas.stream.commands import DefinePipeline, DrainPipeline, PausePipeline, ResumePipeline, StopPipeline
from schemas.stream.events import (
    PipelineDefined,
    PipelineDraining,
    PipelinePaused,
    PipelineResumed,
    PipelineStopped,
)
from schemas.stream.types import InputKind, InputSchema

ID = "x"  # as `given` calls an actor
TEXT = f"""\
pipeline: {ID}
description: Warm ones.
source: {{dataset: readings}}
steps:
  - filter: celsius > 20.0
sinks: [{{topic: warm}}]
"""
READINGS = InputSchema(
    kind=InputKind.Dataset,
    name="readings",
    schema='{"type": "record", "name": "Reading", "fields": [{"name": "celsius", "type": "double"}]}',
)
OUTPUT = json.dumps(
    {
        "type": "record",
        "name": "Result",
        "fields": [
            {"name": "celsius", "type": "double"},
            {"name": "_time", "type": {"type": "long", "logicalType": "timestamp-micros"}},
        ],
    }
)


def defined(version: int = 1, text: str = TEXT, inputs: tuple[InputSchema, ...] = (READINGS,)) -> PipelineDefined:
    return PipelineDefined(version=version, text=text, description="Warm ones.", inputs=list(inputs), output=OUTPUT)


def define(text: str = TEXT, *inputs: InputSchema) -> DefinePipeline:
    return DefinePipeline(text=text, inputs=list(inputs or (READINGS,)))


def test_a_definition_is_kept_with_what_it_refers_to_and_what_comes_out() -> None:
    given(Pipeline).when(define()).then(defined())


def test_another_definition_is_another_version() -> None:
    warmer = TEXT.replace("20.0", "30.0")
    given(Pipeline, defined()).when(define(warmer)).then(defined(2, warmer))


def test_the_same_definition_changes_nothing() -> None:
    given(Pipeline, defined()).when(define()).then()


def test_the_same_definition_of_inputs_that_changed_is_another_version() -> None:
    more = InputSchema(kind=READINGS.kind, name=READINGS.name, schema=READINGS.schema.replace("Reading", "Measured"))
    given(Pipeline, defined()).when(define(TEXT, more)).then(defined(2, inputs=(more,)))


@pytest.mark.parametrize(
    ("right", "wrong", "says"),
    [
        ("celsius >", "celsus >", "line 5, column 13: there is no field 'celsus' here; did you mean celsius?"),
        ("sinks:", "sink:", "line 6, column 1: 'sink' has no meaning here; did you mean sinks?"),
        ("dataset: readings", "dataset: others", "line 3, column 19: there is no dataset 'others'"),
        (f"pipeline: {ID}", "pipeline: other", f"the definition is of 'other', and this is '{ID}'"),
    ],
)
def test_a_wrong_definition_is_rejected_with_its_place(right: str, wrong: str, says: str) -> None:
    when = given(Pipeline).when(define(TEXT.replace(right, wrong)))
    when.rejects("definition_invalid")
    assert when.rejection is not None
    assert says in when.rejection.message


def test_a_schema_that_is_none_is_rejected() -> None:
    none = InputSchema(kind=InputKind.Dataset, name="readings", schema='{"type": "string"}')
    given(Pipeline).when(define(TEXT, none)).rejects("inputs_invalid")


def test_more_inputs_than_a_definition_can_refer_to_are_rejected() -> None:
    given(Pipeline).when(define(TEXT, *[READINGS] * 101)).rejects("inputs_invalid")


def test_pausing_and_resuming_change_something_once() -> None:
    given(Pipeline, defined()).when(PausePipeline(reason="mending")).then(PipelinePaused(reason="mending"))
    given(Pipeline, defined(), PipelinePaused()).when(PausePipeline()).then()
    given(Pipeline, defined(), PipelinePaused()).when(ResumePipeline()).then(PipelineResumed())
    given(Pipeline, defined(), PipelinePaused(), PipelineResumed()).when(ResumePipeline()).then()


def test_a_paused_pipeline_takes_another_definition() -> None:
    warmer = TEXT.replace("20.0", "30.0")
    given(Pipeline, defined(), PipelinePaused()).when(define(warmer)).then(defined(2, warmer))


@pytest.mark.parametrize("command", [PausePipeline(), ResumePipeline(), DrainPipeline(), StopPipeline()])
def test_what_is_not_there_can_t_be_steered(command: Any) -> None:
    given(Pipeline).when(command).rejects("pipeline_unknown")


def test_draining_is_told_once_and_leads_to_the_end_alone() -> None:
    given(Pipeline, defined(), PipelinePaused()).when(DrainPipeline(reason="done")).then(
        PipelineDraining(reason="done")
    )
    given(Pipeline, defined(), PipelineDraining()).when(DrainPipeline()).then()
    for command in (define(TEXT.replace("20.0", "30.0")), PausePipeline(), ResumePipeline()):
        given(Pipeline, defined(), PipelineDraining()).when(command).rejects("pipeline_draining")
    given(Pipeline, defined(), PipelineDraining()).when(StopPipeline()).then(PipelineStopped())


def test_what_has_stopped_stays_so() -> None:
    given(Pipeline, defined()).when(StopPipeline(reason="over")).then(PipelineStopped(reason="over"))
    given(Pipeline, defined(), PipelineStopped()).when(StopPipeline()).then()
    for command in (define(), PausePipeline(), ResumePipeline(), DrainPipeline()):
        given(Pipeline, defined(), PipelineStopped()).when(command).rejects("pipeline_stopped")


@pytest.mark.parametrize("command", [PausePipeline, DrainPipeline, StopPipeline])
def test_a_reason_has_a_bound(command: Any) -> None:
    given(Pipeline, defined()).when(command(reason="a" * 2_001)).rejects("reason_invalid")
