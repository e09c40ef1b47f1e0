"""From events to workflows: reads the store in order, starts and signals what the events concern.

Exactly once, though an event may be read again after a crash: a workflow's id is that of its class, tenant and key,
and Temporal keeps ended ones' ids, too; a signal's request id is the event's, by which Temporal knows it again.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import psycopg
from psycopg import AsyncConnection
from temporalio.client import Client
from temporalio.service import RPCError

from datapunk.errors import TemporalAway
from datapunk.generation import recorded
from datapunk.messages.registry import Registry
from datapunk.projection import Recorded
from datapunk.resting import rest
from datapunk.settings import Settings
from datapunk.store.connection import connect as connect_to_store
from datapunk.store.events import RecordedEvent
from datapunk.store.followers import follower_position, move_follower
from datapunk.store.read import read_all
from datapunk.telemetry import metrics
from datapunk.telemetry.logs import get_logger
from datapunk.temporal.calling import Caller, workflow_id
from datapunk.temporal.connection import connect
from datapunk.temporal.reactions import Reaction

BATCH = 200  # events read at a time
AT_ONCE = 20  # workflows spoken to at a time
POLL_S = 1.0  # longest pause when nobody wakes it
RETRY_FIRST_S, RETRY_MOST_S = 0.5, 10.0  # pauses after a failure

log = get_logger(__name__)


def follower_name(module: str, workflow: str) -> str:
    """What a bridge's checkpoint and lease are called."""
    return f"{module}.workflows.{workflow}"


class Bridge:
    """Carries events to the workflows of one class.

    Args:
        module: whose workflow it is, by name.
        workflow: the name of the class at Temporal.
        reactions: what concerns it.
        registry: decodes events.
        settings: where everything is.
    """

    def __init__(
        self, module: str, workflow: str, reactions: Sequence[Reaction], registry: Registry, settings: Settings
    ) -> None:
        self.name = follower_name(module, workflow)
        self._module = module
        self._workflow = workflow
        self._reactions = {reaction.event.message_type: reaction for reaction in reactions}
        self._registry = registry
        self._settings = settings
        self._wake = asyncio.Event()
        self._pause = RETRY_FIRST_S
        self._reached = metrics.WORKFLOW_EVENTS.labels(module=module, workflow=workflow)

    def wake(self) -> None:
        """There may be new events."""
        self._wake.set()

    async def run(self, stop: asyncio.Event) -> None:
        """Carry events until told to stop. What fails is tried again from the checkpoint, and never skipped."""
        while not stop.is_set():
            try:
                temporal = await connect(self._settings, self._registry)
                async with await connect_to_store(self._settings.database_url) as conn:
                    await self._follow(conn, temporal, stop)
            except (RPCError, TemporalAway, psycopg.OperationalError, psycopg.InterfaceError, OSError) as error:
                log.warning("bridge_waits", workflow=self._workflow, retry_in_s=self._pause, detail=str(error))
            except Exception as error:  # a defect, in a key for instance: shown, and tried again
                log.exception("bridge_failed", workflow=self._workflow, retry_in_s=self._pause)
                metrics.ERRORS.labels(service=self.name, error_type=type(error).__name__).inc()
            await rest(self._pause, stop)
            self._pause = min(self._pause * 2, RETRY_MOST_S)

    async def _follow(self, conn: AsyncConnection[Any], temporal: Client, stop: asyncio.Event) -> None:
        position = await follower_position(conn, self.name)
        while not stop.is_set():
            self._wake.clear()
            events, reached = await read_all(conn, position, BATCH, types=list(self._reactions))
            if events:
                await self._registry.learn_of(conn, events)
                await self._carry(temporal, events)
                self._reached.inc(len(events))
            if reached > position:
                await move_follower(conn, self.name, reached)
                position = reached
                self._pause = RETRY_FIRST_S
            if len(events) < BATCH:
                await rest(POLL_S, stop, self._wake)

    async def _carry(self, temporal: Client, events: Sequence[RecordedEvent]) -> None:
        """Each workflow's events in order; many workflows' at a time."""
        by_workflow: dict[str, list[tuple[RecordedEvent, Recorded[Any]]]] = defaultdict(list)
        for event in events:
            known = recorded(event, self._registry)
            key = self._reactions[event.type].key(known)
            if key is not None:
                by_workflow[workflow_id(self._workflow, event.tenant, key)].append((event, known))
        room = asyncio.Semaphore(AT_ONCE)

        async def carry(id: str) -> None:
            async with room:
                for event, known in by_workflow[id]:
                    await caller.react(id, self._reactions[event.type], event, known)

        caller = Caller(temporal, self._module, self._workflow)
        try:
            async with asyncio.TaskGroup() as group:
                for id in by_workflow:
                    group.create_task(carry(id))
        except BaseExceptionGroup as failed:
            raise failed.exceptions[0] from None  # one says it all: they speak to the same server
