"""The pipeline: its definition, in versions, and whether it takes records in."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable

import msgspec

from datapunk import Actor, Rejected, applies, handles
from datapunk.errors import SchemaError
from datapunk.messages.schema import parse_text
from schemas.stream.commands import DefinePipeline, DrainPipeline, PausePipeline, ResumePipeline, StopPipeline
from schemas.stream.events import (
    PipelineDefined,
    PipelineDraining,
    PipelinePaused,
    PipelineResumed,
    PipelineStopped,
)
from schemas.stream.types import InputSchema

MAX_INPUTS = 100
MAX_REASON = 2_000  # characters


class Pipeline(Actor):
    """A definition of what is done with a stream of records."""

    definitions: int = 0
    digest: str = ""  # of the definition and what it refers to
    is_paused: bool = False
    is_draining: bool = False
    is_stopped: bool = False

    @handles(DefinePipeline)
    def define(self, command: DefinePipeline) -> PipelineDefined | None:
        """What is wrong with it is rejected, with all places; what is as it was changes nothing."""
        self._must_not_end()
        if len(command.inputs) > MAX_INPUTS:
            raise Rejected("inputs_invalid", f"a definition refers to at most {MAX_INPUTS} inputs")
        inputs = sorted(command.inputs, key=lambda each: (each.kind.value, each.name))
        description, output = _checked(self.id, command.text, inputs)
        if _digest(command.text, inputs) == self.digest:
            return None
        return PipelineDefined(
            version=self.definitions + 1, text=command.text, description=description, inputs=inputs, output=output
        )

    @handles(PausePipeline)
    def pause(self, command: PausePipeline) -> PipelinePaused | None:
        """Pausing what is paused changes nothing."""
        self._must_exist()
        self._must_not_end()
        _check_reason(command.reason)
        return None if self.is_paused else PipelinePaused(reason=command.reason)

    @handles(ResumePipeline)
    def resume(self, command: ResumePipeline) -> PipelineResumed | None:
        """Resuming what runs changes nothing."""
        self._must_exist()
        self._must_not_end()
        return PipelineResumed() if self.is_paused else None

    @handles(DrainPipeline)
    def drain(self, command: DrainPipeline) -> PipelineDraining | None:
        """Draining what is drained changes nothing; what is paused can be drained, too."""
        self._must_exist()
        self._must_not_be_stopped()
        _check_reason(command.reason)
        return None if self.is_draining else PipelineDraining(reason=command.reason)

    @handles(StopPipeline)
    def stop(self, command: StopPipeline) -> PipelineStopped | None:
        """Stopping what has stopped changes nothing."""
        self._must_exist()
        _check_reason(command.reason)
        return None if self.is_stopped else PipelineStopped(reason=command.reason)

    @applies(PipelineDefined)
    def defined(self, event: PipelineDefined) -> None:
        """This definition counts."""
        self.definitions = event.version
        self.digest = _digest(event.text, event.inputs)

    @applies(PipelinePaused)
    def paused(self, event: PipelinePaused) -> None:
        """It holds back."""
        self.is_paused = True

    @applies(PipelineResumed)
    def resumed(self, event: PipelineResumed) -> None:
        """It goes on."""
        self.is_paused = False

    @applies(PipelineDraining)
    def draining(self, event: PipelineDraining) -> None:
        """It ends once all is out."""
        self.is_draining = True

    @applies(PipelineStopped)
    def stopped(self, event: PipelineStopped) -> None:
        """It's over."""
        self.is_stopped = True

    def _must_exist(self) -> None:
        if not self.definitions:
            raise Rejected("pipeline_unknown", f"there is no pipeline {self.id}; define it with stream.DefinePipeline")

    def _must_not_be_stopped(self) -> None:
        if self.is_stopped:
            raise Rejected("pipeline_stopped", f"pipeline {self.id} has stopped for good; define one with another id")

    def _must_not_end(self) -> None:
        self._must_not_be_stopped()
        if self.is_draining:
            raise Rejected("pipeline_draining", f"pipeline {self.id} is drained, and can only be stopped")


def _checked(id: str, text: str, inputs: Iterable[InputSchema]) -> tuple[str, str]:
    """A definition's description, and the Avro schema of its results."""
    # Loaded by whoever defines: CEL's library has 50 MB, and no other command needs it.
    from pipelines.stream.definition.problems import InvalidDefinition
    from pipelines.stream.field_types import Fields, fields_of, record_schema
    from pipelines.stream.inputs import Known, Reference
    from pipelines.stream.planning import plan

    schemas: dict[Reference, Fields] = {}
    for each in inputs:
        try:
            schemas[each.kind.value.lower(), each.name] = fields_of(parse_text(each.schema).definition)
        except SchemaError as error:
            raise Rejected("inputs_invalid", f"{each.kind.value} {each.name[:200]}: {error}") from None
    try:
        made = plan(text, Known(schemas))
    except InvalidDefinition as error:
        places = [[each.place.line, each.place.column, each.message] for each in error.problems]
        raise Rejected("definition_invalid", str(error)[:10_000], {"problems": json.dumps(places)[:10_000]}) from None
    if made.definition.pipeline != id:
        raise Rejected("definition_invalid", f"the definition is of {made.definition.pipeline!r}, and this is {id!r}")
    return made.definition.description, json.dumps(record_schema("Result", made.output))


def _digest(text: str, inputs: Iterable[InputSchema]) -> str:
    return hashlib.sha256(msgspec.json.encode([text, list(inputs)])).hexdigest()


def _check_reason(reason: str) -> None:
    if len(reason) > MAX_REASON:
        raise Rejected("reason_invalid", f"a reason has at most {MAX_REASON:,} characters")
