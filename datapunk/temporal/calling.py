"""Starts and signals workflows for events, by Temporal's own requests: the SDK's methods don't take request ids."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from temporalio.api.common.v1 import Payloads, WorkflowExecution, WorkflowType
from temporalio.api.enums.v1 import WorkflowIdReusePolicy
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import (
    SignalWithStartWorkflowExecutionRequest,
    SignalWorkflowExecutionRequest,
    StartWorkflowExecutionRequest,
)
from temporalio.client import Client
from temporalio.converter import encode_search_attributes
from temporalio.service import RPCError, RPCStatusCode

from datapunk.projection import Recorded
from datapunk.store.events import RecordedEvent
from datapunk.temporal.attributes import describe
from datapunk.temporal.reactions import Reaction

TIMEOUT = timedelta(seconds=10)  # of one call
TRACE_HEADER = "_tracer-data"  # where Temporal's own interceptor for OpenTelemetry looks
ONCE = WorkflowIdReusePolicy.WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE


def task_queue(module: str) -> str:
    """Where a module's workers take their tasks."""
    return f"datapunk.{module}"


def workflow_id(workflow: str, tenant: str, key: str) -> str:
    """The id of the workflow of a class, tenant and key: `CancelUnpaid/default/1000`."""
    return f"{workflow}/{tenant}/{key}"


class Caller:
    """Calls the workflows of one class.

    Args:
        temporal: where they are.
        module: whose class it is, by name.
        workflow: the name of the class at Temporal.
    """

    def __init__(self, temporal: Client, module: str, workflow: str) -> None:
        self._temporal = temporal
        self._service = temporal.workflow_service
        self._module = module
        self._workflow = workflow

    async def react(self, id: str, reaction: Reaction, event: RecordedEvent, known: Recorded[Any]) -> None:
        """Start or signal a workflow for an event; a second time nothing happens.

        Args:
            id: of the workflow.
            reaction: what the event does to it.
            event: as it's stored.
            known: as it's handed on.

        Raises:
            RPCError: if Temporal is away, or refuses the event.
        """
        try:
            if reaction.signal is None:
                await self._start(id, reaction, event, known)
            elif reaction.starts:
                await self._signal_with_start(id, reaction.signal, event, known)
            else:
                await self._signal(id, reaction.signal, event, known)
        except RPCError as error:
            is_there = error.status is RPCStatusCode.ALREADY_EXISTS  # it was started by this event, or is over
            is_nowhere = error.status is RPCStatusCode.NOT_FOUND and reaction.signal is not None
            if not (is_there or is_nowhere) or _lacks_namespace(error):
                raise

    async def _start(self, id: str, reaction: Reaction, event: RecordedEvent, known: Recorded[Any]) -> None:
        request = StartWorkflowExecutionRequest(input=await self._payloads(known), **self._new(id, event))
        await self._describe(request, event, reaction.about(known) if reaction.about else ())
        await self._service.start_workflow_execution(request, timeout=TIMEOUT)

    async def _signal(self, id: str, signal: str, event: RecordedEvent, known: Recorded[Any]) -> None:
        request = SignalWorkflowExecutionRequest(
            namespace=self._temporal.namespace,
            workflow_execution=WorkflowExecution(workflow_id=id),
            signal_name=signal,
            input=await self._payloads(known),
            identity=self._temporal.identity,
            request_id=str(event.id),
        )
        await self._service.signal_workflow_execution(request, timeout=TIMEOUT)

    async def _signal_with_start(self, id: str, signal: str, event: RecordedEvent, known: Recorded[Any]) -> None:
        request = SignalWithStartWorkflowExecutionRequest(
            signal_name=signal, signal_input=await self._payloads(known), **self._new(id, event)
        )
        await self._describe(request, event)
        await self._service.signal_with_start_workflow_execution(request, timeout=TIMEOUT)

    def _new(self, id: str, event: RecordedEvent) -> dict[str, Any]:
        """What makes a workflow, the same for both requests that can."""
        return {
            "namespace": self._temporal.namespace,
            "workflow_id": id,
            "workflow_type": WorkflowType(name=self._workflow),
            "task_queue": TaskQueue(name=task_queue(self._module)),
            "identity": self._temporal.identity,
            "request_id": str(event.id),
            "workflow_id_reuse_policy": ONCE,
        }

    async def _payloads(self, *values: Any) -> Payloads:
        return Payloads(payloads=await self._temporal.data_converter.encode(values))

    async def _describe(
        self,
        request: StartWorkflowExecutionRequest | SignalWithStartWorkflowExecutionRequest,
        event: RecordedEvent,
        about: Sequence[str] = (),
    ) -> None:
        """What the workflow is found by, what it's about, and whose trace it's in."""
        correlation_id = event.metadata.get("correlation_id") or str(event.causation)
        encode_search_attributes(
            describe(self._module, event.stream, event.tenant, correlation_id, about), request.search_attributes
        )
        memo = {"event": str(event.id), "type": event.type, "position": event.position}
        for name, payload in zip(memo, await self._temporal.data_converter.encode(list(memo.values())), strict=True):
            request.memo.fields[name].CopyFrom(payload)
        traceparent = event.metadata.get("traceparent")
        if traceparent is not None:
            (carrier,) = await self._temporal.data_converter.encode([{"traceparent": traceparent}])
            request.header.fields[TRACE_HEADER].CopyFrom(carrier)


def _lacks_namespace(error: RPCError) -> bool:
    """Whether it's the namespace that wasn't found, which is no reason to drop a signal."""
    return any(detail.type_url.endswith(".NamespaceNotFoundFailure") for detail in error.grpc_status.details)
