"""Which release new workflows go to, where workers have a `DATAPUNK_BUILD_ID`; those under way stay with theirs."""

from __future__ import annotations

import asyncio

from temporalio.api.workflowservice.v1 import (
    DescribeWorkerDeploymentRequest,
    SetWorkerDeploymentCurrentVersionRequest,
)
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from datapunk.telemetry.logs import get_logger

LOOK_S = 0.5  # between two looks whether Temporal knows of a worker
# What it answers until it has heard from the worker, or when another one was faster.
NOT_YET = (RPCStatusCode.NOT_FOUND, RPCStatusCode.FAILED_PRECONDITION)

log = get_logger(__name__)


def deployment(module: str) -> str:
    """What the workers of a module, of all releases, are together to Temporal; it allows no dot there."""
    return f"datapunk-{module}"


async def release(temporal: Client, module: str, build_id: str) -> None:
    """Send a module's new workflows to a release.

    Args:
        temporal: where.
        module: by name.
        build_id: the release; a worker of it must have been here.

    Raises:
        RPCError: if it's away, or knows no such worker (`NOT_YET`).
    """
    await temporal.workflow_service.set_worker_deployment_current_version(
        SetWorkerDeploymentCurrentVersionRequest(
            namespace=temporal.namespace,
            deployment_name=deployment(module),
            build_id=build_id,
            identity=temporal.identity,
            ignore_missing_task_queues=True,
        )
    )
    log.info("workflows_released", module=module, build_id=build_id)


async def release_first(temporal: Client, module: str, build_id: str) -> None:
    """If a module's new workflows go to no release yet, and so would wait for ever, send them to this one.

    Waits until Temporal has heard from the worker, which must run meanwhile.
    """
    while True:
        try:
            if not await _has_release(temporal, module):
                await release(temporal, module, build_id)
            return
        except RPCError as error:
            if error.status not in NOT_YET:
                log.warning("release_failed", module=module, build_id=build_id, detail=str(error))
        await asyncio.sleep(LOOK_S)


async def _has_release(temporal: Client, module: str) -> bool:
    request = DescribeWorkerDeploymentRequest(namespace=temporal.namespace, deployment_name=deployment(module))
    found = await temporal.workflow_service.describe_worker_deployment(request)
    return found.worker_deployment_info.routing_config.HasField("current_deployment_version")
