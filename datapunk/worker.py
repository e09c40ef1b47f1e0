"""One process of the platform: for each of its modules a shard engine, its projectors, its query server.

What of it is active is decided by membership: shards and projections are shared out among all processes that
run the same module.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, suppress
from time import monotonic
from typing import Any

import psycopg

from datapunk.answering import Answerer
from datapunk.broker.rpc import QueryServer
from datapunk.broker.topology import apply
from datapunk.broker.unroutable import UnroutableConsumer
from datapunk.broker.wake import EventSignal
from datapunk.ending import end
from datapunk.errors import ConnectionLost, OwnershipLost
from datapunk.hook import Hook, nowhere
from datapunk.membership import Membership
from datapunk.messages.registry import Registry
from datapunk.module import Module
from datapunk.projector import Projector
from datapunk.settings import Settings
from datapunk.shard import ShardEngine
from datapunk.store.connection import connect
from datapunk.store.migrate import migrate
from datapunk.telemetry import metrics
from datapunk.telemetry.logs import get_logger
from datapunk.upkeep import Upkeep

RETRY_S = 1.0  # pause before projections are taken again
DEFECT_FIRST_S, DEFECT_MOST_S = 1.0, 60.0  # pauses after a defect of ours
HEALTHY_S = 300.0  # who ran so long before a defect starts the pauses anew
PREPARE_FIRST_S, PREPARE_MOST_S = 0.5, 5.0  # pauses while a server isn't there yet

log = get_logger(__name__)


async def prepare(modules: Sequence[Module], settings: Settings) -> tuple[Registry, dict[str, int]]:
    """Bring Postgres and the broker to what these modules need; safe to repeat, and by several processes at once.

    Returns:
        The registry of their messages, and each module's number of shards.
    """
    await migrate(settings.database_url)
    registry = Registry.of(modules)
    async with await connect(settings.database_url) as conn:
        await registry.sync(conn)
    shards = {module.name: (await apply(settings, module)).shards for module in modules}
    return registry, shards


class Worker:
    """Runs modules in this process.

    Args:
        modules: which.
        settings: of the process.
        at: told where its shard engines and projectors are.

    Attributes:
        prepared: set once Postgres and the broker have all that the modules need.
    """

    def __init__(self, modules: Sequence[Module], settings: Settings, at: Hook = nowhere) -> None:
        self._modules = modules
        self._settings = settings
        self._at = at
        self.prepared = asyncio.Event()

    async def run(self, stop: asyncio.Event) -> None:
        """Work until told to stop, then hand over what this process owns and return."""
        prepared = await self._prepare(stop)
        if prepared is None:
            return
        registry, shards = prepared
        # Memberships last until the engines have finished, and pools until the queries have.
        async with AsyncExitStack() as stack, asyncio.TaskGroup() as group:
            unroutable = UnroutableConsumer(self._settings, registry, self._modules)
            group.create_task(contained("unroutable", unroutable.run, stop))
            group.create_task(contained("upkeep", Upkeep(self._settings).run, stop))
            for module in self._modules:
                membership = Membership(
                    self._settings,
                    f"{module.name}.shards",
                    [str(shard) for shard in range(shards[module.name])],
                )
                await stack.enter_async_context(membership)
                engine = ShardEngine(module, registry, self._settings, membership, self._at)
                group.create_task(contained(f"{module.name}.shards", engine.run, stop))
                projectors = Projectors(module, registry, self._settings, self._at)
                group.create_task(contained(f"{module.name}.projections", projectors.run, stop))
                answerer = Answerer(module, registry, self._settings)
                await stack.enter_async_context(answerer)
                server = QueryServer(module, registry, self._settings, answerer.answer)
                group.create_task(contained(f"{module.name}.queries", server.run, stop))
                for name, make in module.services.items():
                    service = make(self._settings, registry, self._at)
                    group.create_task(contained(f"{module.name}.{name}", service.run, stop))
            log.info("worker_started", modules=[module.name for module in self._modules])
            await stop.wait()

    async def _prepare(self, stop: asyncio.Event) -> tuple[Registry, dict[str, int]] | None:
        """What `prepare` returns, however long the servers take to be there; None if told to stop meanwhile."""
        pause = PREPARE_FIRST_S
        while not stop.is_set():
            try:
                prepared = await prepare(self._modules, self._settings)
            except (psycopg.OperationalError, psycopg.InterfaceError) as error:
                detail = f"the database can't be reached: {error}; is it up? (`datapunk status`)"
            except (ConnectionLost, OSError) as error:
                detail = str(error)
            else:
                self.prepared.set()
                return prepared
            log.warning("waiting_for_servers", retry_in_s=pause, detail=detail)
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), pause)
            pause = min(pause * 2, PREPARE_MOST_S)
        return None


async def contained(service: str, run: Callable[[asyncio.Event], Awaitable[None]], stop: asyncio.Event) -> None:
    """Run a part of the process until told to stop; a defect ends what it was at, never the other parts.

    Args:
        service: as metrics and the log name it.
        run: called again after a growing pause whenever it raises.
        stop: handed to it.
    """
    pause = DEFECT_FIRST_S
    while not stop.is_set():
        began = monotonic()
        try:
            await run(stop)
            return
        except Exception as error:
            if monotonic() - began > HEALTHY_S:
                pause = DEFECT_FIRST_S
            metrics.ERRORS.labels(service=service, error_type=type(error).__name__).inc()
            log.exception("defect", service=service, retry_in_s=pause)
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), pause)
        pause = min(pause * 2, DEFECT_MOST_S)


class Projectors:
    """The projections of one module that are this process's to keep up to date."""

    def __init__(self, module: Module, registry: Registry, settings: Settings, at: Hook) -> None:
        self._at = at
        self._module = module
        self._registry = registry
        self._settings = settings
        self._classes = {projection.full_name(): projection for projection in module.projections}
        self._running: dict[str, tuple[Projector, asyncio.Event, asyncio.Task[None]]] = {}

    async def run(self, stop: asyncio.Event) -> None:
        """Follow membership until told to stop."""
        if not self._classes:
            return
        while not stop.is_set():
            try:
                await self._take_part(stop)
            except (OwnershipLost, psycopg.OperationalError, psycopg.InterfaceError, OSError) as error:
                log.warning("projections_lost", module=self._module.name, retry_in_s=RETRY_S, detail=str(error))
                with suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), RETRY_S)

    async def _take_part(self, stop: asyncio.Event) -> None:
        """Be a member of those who share the projections, until told to stop or taken for dead."""
        async with Membership(self._settings, f"{self._module.name}.projections", list(self._classes)) as membership:
            ending = asyncio.Event()
            signal = asyncio.create_task(EventSignal(self._settings, self._module, self._wake_all).run(ending))
            tasks: set[asyncio.Task[Any]] = {
                asyncio.create_task(stop.wait()),
                asyncio.create_task(self._follow(membership)),
            }
            try:
                done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()
            finally:
                ending.set()
                await end(tasks)
                await asyncio.gather(signal, return_exceptions=True)
                for name in list(self._running):
                    await self._stop(name)

    async def _follow(self, membership: Membership) -> None:
        async for change in membership.changes():
            if change.lost:
                raise OwnershipLost(change.reason)
            for name in set(change.release) & set(self._running):
                await self._stop(name)
                await membership.release(name)
            for name in set(change.gained) - set(self._running):
                projector = Projector(self._classes[name](), self._registry, self._settings, self._at)
                stop = asyncio.Event()
                self._running[name] = (projector, stop, asyncio.create_task(projector.run(stop)))
                log.info("projection_taken", projection=name)

    async def _stop(self, name: str) -> None:
        _, stop, task = self._running.pop(name)
        stop.set()
        await task

    def _wake_all(self) -> None:
        for projector, _, _ in self._running.values():
            projector.wake()
