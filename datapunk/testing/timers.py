"""Modules at work on Temporal's test server, whose time a test moves: a workflow's ten minutes are over at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, cast
from uuid import uuid4

from temporalio.api.testservice.v1 import SleepRequest
from temporalio.client import Client as TemporalClient
from temporalio.client import WorkflowHandle
from temporalio.testing import WorkflowEnvironment

from datapunk.messages.registry import Registry
from datapunk.module import Module
from datapunk.settings import Settings
from datapunk.store.connection import connect
from datapunk.store.followers import follower_position
from datapunk.store.read import safe_position
from datapunk.temporal.bridge import follower_name
from datapunk.temporal.calling import workflow_id
from datapunk.temporal.connection import connect as connect_to_temporal
from datapunk.temporal.discovery import WORKFLOW, find_workflows
from datapunk.testing.platform import Platform, running_platform

CARRIED_WITHIN_S = 60.0  # events to the workflows that they concern
SKIPPED_WITHIN = timedelta(seconds=120)  # an attempt of an activity whose worker has gone lasts a minute
STARTS_WITHIN = timedelta(seconds=60)
_LOOK_S = 0.02  # between two looks


@asynccontextmanager
async def time_skipping_server(program: str | None) -> AsyncGenerator[str]:
    """Temporal's test server, stopped afterwards; its address.

    Args:
        program: the server; None: Temporal's SDK downloads it.
    """
    environment = await WorkflowEnvironment.start_time_skipping(
        test_server_existing_path=program, test_server_startup_timeout=STARTS_WITHIN
    )
    try:
        yield environment.client.service_client.config.target_host
    finally:
        await environment.shutdown()


@dataclass(kw_only=True)
class PlatformWithTimers(Platform):
    """Modules and their workflows at work, in a time that the test moves. Made by `platform_with_timers`.

    Attributes:
        temporal: for what else there is to do with workflows.
        bridges: what carries events to workflows, by name.
    """

    temporal: TemporalClient
    bridges: Sequence[str]

    def workflow(self, kind: type, key: str, *, tenant: str | None = None) -> WorkflowHandle[Any, Any]:
        """The workflow that events with this key start or signal: for its `result()`, for instance.

        Args:
            kind: its class.
            key: by default the actor's id.
            tenant: whose; by default as set.
        """
        run: Any = cast(Any, kind).run
        name = str(getattr(kind, WORKFLOW).name)
        id = workflow_id(name, tenant or self.settings.default_tenant, key)
        return self.temporal.get_workflow_handle_for(run, id)

    async def skip(self, time: timedelta) -> None:
        """Let time pass for all workflows, once they have got all events that there are.

        It stands still else. What is due meanwhile happens in its order; activities under way are waited for.
        """
        await carried(self.settings, self.bridges)
        await skip(self.settings.temporal_address, time)


async def skip(address: str, time: timedelta) -> None:
    """Let time pass at Temporal's test server.

    Args:
        address: its host:port.
        time: how much.
    """
    # A connection of its own: the server hangs up on pings, with which clients else keep theirs alive.
    temporal = await TemporalClient.connect(address, keep_alive_config=None)
    request = SleepRequest()
    request.duration.FromTimedelta(time)
    await temporal.test_service.unlock_time_skipping_with_sleep(request, timeout=SKIPPED_WITHIN)


async def carried(settings: Settings, bridges: Sequence[str]) -> None:
    """Wait until all events that are in the store now were carried to workflows.

    Raises:
        TimeoutError: if that takes too long; the log says why.
    """
    async with asyncio.timeout(CARRIED_WITHIN_S), await connect(settings.database_url) as conn:
        head = await safe_position(conn)
        for name in bridges:
            while True:
                if await follower_position(conn, name) >= head:
                    break
                await asyncio.sleep(_LOOK_S)


@asynccontextmanager
async def running_platform_with_timers(
    modules: Sequence[Module], settings: Settings, address: str
) -> AsyncGenerator[PlatformWithTimers]:
    """Modules and their workflows at work, for as long as the block runs.

    Args:
        modules: which.
        settings: where the other servers are.
        address: of Temporal's test server.
    """
    settings = settings.model_copy(
        update={"temporal_address": address, "temporal_namespace": f"test-{uuid4().hex[:12]}"}
    )
    registry = Registry.of(modules)
    bridges = [follower_name(module.name, name) for module in modules for name in find_workflows(module).reactions]
    async with running_platform(modules, settings, with_workflows=True) as platform:
        temporal = await connect_to_temporal(settings, registry)
        yield PlatformWithTimers(settings, platform.client, registry, temporal=temporal, bridges=bridges)
