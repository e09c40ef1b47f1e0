"""Runs a module's workflows and activities in this process, for as long as it's told to."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from psycopg import AsyncConnection
from temporalio.client import Client as TemporalClient
from temporalio.common import VersioningBehavior, WorkerDeploymentVersion
from temporalio.service import RPCError
from temporalio.worker import Worker, WorkerDeploymentConfig

from datapunk.client import Client
from datapunk.ending import end
from datapunk.errors import ConnectionLost, TemporalAway
from datapunk.followers import Followers
from datapunk.messages.registry import Registry
from datapunk.module import Module
from datapunk.resting import rest
from datapunk.settings import Settings
from datapunk.store.followers import enter_follower
from datapunk.telemetry.logs import get_logger
from datapunk.temporal.attributes import prepare_namespace
from datapunk.temporal.bridge import Bridge, follower_name
from datapunk.temporal.calling import task_queue
from datapunk.temporal.connection import connect
from datapunk.temporal.discovery import Found, activities_of
from datapunk.temporal.platform import Platform
from datapunk.temporal.releases import deployment, release_first
from datapunk.temporal.sandbox import workflow_runner
from datapunk.temporal.schedules import apply_schedules
from datapunk.temporal.sending import Speaking

RETRY_FIRST_S, RETRY_MOST_S = 0.5, 10.0  # pauses while Temporal isn't there
GRACE = timedelta(seconds=10)  # for activities under way, when told to stop

log = get_logger(__name__)


class WorkflowHost:
    """A Temporal worker for one module.

    Args:
        module: whose.
        found: its workflows and activities.
        registry: of its messages.
        settings: where everything is.
    """

    def __init__(self, module: Module, found: Found, registry: Registry, settings: Settings) -> None:
        self._module = module
        self._found = found
        self._registry = registry
        self._settings = settings

    async def run(self, stop: asyncio.Event) -> None:
        """Work until told to stop; while Temporal or the broker is away, wait for it."""
        pause = RETRY_FIRST_S
        while not stop.is_set():
            try:
                await self._work(stop)
                return
            except (RPCError, TemporalAway, ConnectionLost) as error:
                log.warning("workflows_wait", module=self._module.name, retry_in_s=pause, detail=str(error))
            await rest(pause, stop)
            pause = min(pause * 2, RETRY_MOST_S)

    async def _work(self, stop: asyncio.Event) -> None:
        temporal = await connect(self._settings, self._registry)
        await prepare_namespace(temporal)
        await apply_schedules(temporal, self._module.name, self._found.schedules.values())
        async with Client(self._settings, self._registry) as client:
            worker = self._worker(Platform(self._settings, self._registry, client, temporal))
            working, stopping = asyncio.create_task(worker.run()), asyncio.create_task(stop.wait())
            log.info("workflows_started", module=self._module.name, workflows=sorted(self._found.workflows))
            releasing = asyncio.create_task(self._release(temporal))
            await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
            await end([stopping, releasing])
            await worker.shutdown()
            await working

    def _worker(self, platform: Platform) -> Worker:
        temporal: TemporalClient = platform.temporal
        activities: list[Callable[..., Any]] = [*self._found.activities, *Speaking(platform.client).activities]
        for kind in self._found.with_platform:
            activities += activities_of(kind(platform))
        return Worker(
            temporal,
            task_queue=task_queue(self._module.name),
            workflows=list(self._found.workflows.values()),
            activities=activities,
            workflow_runner=workflow_runner(self._registry),
            graceful_shutdown_timeout=GRACE,
            deployment_config=self._deployment(),
        )

    async def _release(self, temporal: TemporalClient) -> None:
        if self._settings.build_id is not None:
            await release_first(temporal, self._module.name, self._settings.build_id)

    def _deployment(self) -> WorkerDeploymentConfig | None:
        if self._settings.build_id is None:
            return None
        return WorkerDeploymentConfig(
            version=WorkerDeploymentVersion(deployment(self._module.name), self._settings.build_id),
            use_worker_versioning=True,
            default_versioning_behavior=VersioningBehavior.PINNED,
        )


def bridges(module: Module, found: Found, registry: Registry, settings: Settings) -> Followers:
    """What carries events to a module's workflows: as followers, of which each runs in one process at a time."""

    def maker(workflow: str) -> Callable[[], Bridge]:
        return lambda: Bridge(module.name, workflow, found.reactions[workflow], registry, settings)

    heard = {each.event.message_type.partition(".")[0] for reactions in found.reactions.values() for each in reactions}
    return Followers(
        f"{module.name}.workflows",
        settings,
        heard,
        {follower_name(module.name, workflow): maker(workflow) for workflow in found.reactions},
    )


async def enter_bridges(conn: AsyncConnection[Any], module: Module, found: Found) -> None:
    """Give each bridge that has no checkpoint one: the present, or the beginning if a workflow wants all history."""
    for workflow, reactions in found.reactions.items():
        wants_all = any(reaction.history for reaction in reactions)
        await enter_follower(conn, follower_name(module.name, workflow), history=wants_all)
