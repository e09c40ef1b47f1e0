"""Where the code of workflows runs: what isn't deterministic is refused there."""

from __future__ import annotations

from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions

from datapunk.messages.registry import Registry

# What workflows share with the process that runs them, besides their messages: it's deterministic where they touch it.
PASSED_THROUGH = ("datapunk", "schemas", "msgspec")


def workflow_runner(registry: Registry) -> SandboxedWorkflowRunner:
    """The sandbox of workflows that speak of these messages."""
    return SandboxedWorkflowRunner(
        restrictions=SandboxRestrictions.default.with_passthrough_modules(*PASSED_THROUGH, *registry.homes)
    )
