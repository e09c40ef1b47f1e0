"""One process of the platform: for each of its modules a shard engine, its projectors, its query server.

What of it is active is decided by membership: shards and projections are shared out among all processes that
run the same module.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from time import monotonic

import psycopg

from datapunk.answering import Answerer
from datapunk.broker.rpc import QueryServer
from datapunk.broker.topology import apply
from datapunk.broker.unroutable import UnroutableConsumer
from datapunk.cache.feeder import Feeder
from datapunk.errors import ConnectionLost
from datapunk.followers import Followers
from datapunk.hook import Hook, nowhere
from datapunk.membership import Membership
from datapunk.messages.registry import Registry
from datapunk.module import Module, with_installed
from datapunk.projection import Projection, QueryHandler
from datapunk.projector import Projector
from datapunk.resting import rest
from datapunk.settings import Settings
from datapunk.shard import ShardEngine
from datapunk.store.connection import connect
from datapunk.store.migrate import migrate
from datapunk.telemetry import metrics
from datapunk.telemetry.logs import get_logger
from datapunk.upkeep import Upkeep

DEFECT_FIRST_S, DEFECT_MOST_S = 1.0, 60.0  # pauses after a defect of ours
HEALTHY_S = 300.0  # who ran so long before a defect starts the pauses anew
PREPARE_FIRST_S, PREPARE_MOST_S = 0.5, 5.0  # pauses while a server isn't there yet

Run = Callable[[asyncio.Event], Awaitable[None]]

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


async def prepare_patiently(
    modules: Sequence[Module], settings: Settings, stop: asyncio.Event
) -> tuple[Registry, dict[str, int]] | None:
    """What `prepare` returns, however long the servers take to be there; None if told to stop meanwhile."""
    pause = PREPARE_FIRST_S
    while not stop.is_set():
        try:
            return await prepare(modules, settings)
        except (psycopg.OperationalError, psycopg.InterfaceError) as error:
            detail = f"the database can't be reached: {error}; is it up? (`datapunk status`)"
        except (ConnectionLost, OSError) as error:
            detail = str(error)
        log.warning("waiting_for_servers", retry_in_s=pause, detail=detail)
        await rest(pause, stop)
        pause = min(pause * 2, PREPARE_MOST_S)
    return None


class Worker:
    """Runs modules in this process.

    Args:
        modules: which.
        settings: of the process.
        at: told where its shard engines and projectors are.
        with_workflows: whether their workflows run here, too.

    Attributes:
        prepared: set once Postgres and the broker have all that the modules need.
    """

    def __init__(
        self, modules: Sequence[Module], settings: Settings, at: Hook = nowhere, *, with_workflows: bool = False
    ) -> None:
        self._modules = modules
        self._settings = settings
        self._at = at
        self._with_workflows = with_workflows
        self.prepared = asyncio.Event()

    async def run(self, stop: asyncio.Event) -> None:
        """Work until told to stop, then hand over what this process owns and return."""
        prepared = await prepare_patiently(self._modules, self._settings, stop)
        if prepared is None:
            return
        self.prepared.set()
        registry, shards = prepared
        # Memberships last until the engines have finished, and pools until the queries have.
        async with AsyncExitStack() as stack, asyncio.TaskGroup() as group:
            unroutable = UnroutableConsumer(self._settings, registry, self._modules)
            group.create_task(contained("unroutable", unroutable.run, stop))
            group.create_task(contained("upkeep", Upkeep(self._settings).run, stop))
            if self._with_workflows:
                for name, run in await self._workflows():
                    group.create_task(contained(name, run, stop))
            for module in self._modules:
                membership = Membership(
                    self._settings,
                    f"{module.name}.shards",
                    [str(shard) for shard in range(shards[module.name])],
                )
                await stack.enter_async_context(membership)
                engine = ShardEngine(module, registry, self._settings, membership, self._at)
                group.create_task(contained(f"{module.name}.shards", engine.run, stop))
                projectors = Followers(
                    f"{module.name}.projections", self._settings, [module.name], self._projectors(module, registry)
                )
                group.create_task(contained(f"{module.name}.projections", projectors.run, stop))
                feeders = Followers(
                    f"{module.name}.caches", self._settings, [module.name], self._feeders(module, registry)
                )
                group.create_task(contained(f"{module.name}.caches", feeders.run, stop))
                answerer = Answerer(module, registry, self._settings)
                await stack.enter_async_context(answerer)
                server = QueryServer(module, registry, self._settings, answerer.answer)
                group.create_task(contained(f"{module.name}.queries", server.run, stop))
                for name, make in module.services.items():
                    service = make(self._settings, registry, self._at)
                    group.create_task(contained(f"{module.name}.{name}", service.run, stop))
            log.info("worker_started", modules=[module.name for module in self._modules])
            await stop.wait()

    async def _workflows(self) -> list[tuple[str, Run]]:
        """What runs the modules' workflows, by name; each of their bridges has its checkpoint from here on."""
        from datapunk.temporal.discovery import find_workflows  # Temporal's SDK is large, and not everybody's
        from datapunk.temporal.host import WorkflowHost, bridges, enter_bridges
        from datapunk.temporal.upkeep import RUNTIME

        # They may send commands to modules that run elsewhere.
        registry = Registry.of(with_installed(self._modules))
        parts: list[tuple[str, Run]] = []
        async with await connect(self._settings.database_url) as conn:
            await registry.learn(conn)
            for module in (*self._modules, RUNTIME):
                found = find_workflows(module)
                if not found.workflows and not found.activities:
                    continue
                await enter_bridges(conn, module, found)
                parts.append((f"{module.name}.workflows", WorkflowHost(module, found, registry, self._settings).run))
                parts.append((f"{module.name}.bridges", bridges(module, found, registry, self._settings).run))
        return parts

    def _projectors(self, module: Module, registry: Registry) -> dict[str, Callable[[], Projector]]:
        def maker(projection: type[Projection]) -> Callable[[], Projector]:
            return lambda: Projector(projection(), registry, self._settings, self._at)

        return {projection.full_name(): maker(projection) for projection in module.projections}

    def _feeders(self, module: Module, registry: Registry) -> dict[str, Callable[[], Feeder]]:
        def maker(handler: QueryHandler) -> Callable[[], Feeder]:
            return lambda: Feeder(handler, registry, self._settings)

        return {handler.query.message_type: maker(handler) for handler in module.queries if handler.cached}


async def contained(service: str, run: Run, stop: asyncio.Event) -> None:
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
        await rest(pause, stop)
        pause = min(pause * 2, DEFECT_MOST_S)
