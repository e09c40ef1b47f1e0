"""A worker in the test's own process, and a client that speaks to it over the broker."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import cast
from uuid import UUID

from datapunk.client import Client
from datapunk.hook import Hook, nowhere
from datapunk.messages.codec import AVRO_BINARY
from datapunk.messages.message import Answer, Command, Event, Query
from datapunk.messages.outcome import Outcome
from datapunk.messages.registry import Registry
from datapunk.module import Module
from datapunk.settings import Settings
from datapunk.store.connection import connect
from datapunk.store.read import read_stream
from datapunk.store.statements import statement
from datapunk.worker import Worker, prepare

STARTS_WITHIN_S = STOPS_WITHIN_S = 60.0
_LOOK_S = 0.02  # between two looks
_PAGE = 1000  # events


@dataclass
class Platform:
    """Modules at work, with a broker and a store of their own. Made by the fixture `platform`.

    Attributes:
        settings: where the servers are.
        client: for what `send` and `ask` don't do, such as following events as they're published.
    """

    settings: Settings
    client: Client
    _registry: Registry
    _positions: dict[str | None, int] = field(default_factory=dict[str | None, int])

    async def send(
        self, command: Command, actor_id: str, *, tenant: str | None = None, message_id: UUID | None = None
    ) -> Outcome:
        """Send a command and wait for its outcome, be it accepted, rejected or failed.

        Args:
            command: what to do.
            actor_id: whom to ask, as in `weather`.
            tenant: whose data; by default as set.
            message_id: of the command; a retry must have the same.
        """
        outcome = await self.client.send(command, actor_id, tenant=tenant, message_id=message_id)
        self._positions[tenant] = max(self._positions.get(tenant, 0), outcome.position)
        return outcome

    async def ask(self, query: Query, *, tenant: str | None = None) -> Answer:
        """Ask a query; the answer reflects all that was sent by `send` before.

        Raises:
            QueryFailed: if it's answered with an error.
        """
        return await self.client.ask(query, tenant=tenant, after_position=self._positions.get(tenant))

    async def events(self, stream: str, *, tenant: str | None = None) -> list[Event]:
        """All events of an actor, as in `lake.dataset/weather`, from the store."""
        events: list[Event] = []
        async with await connect(self.settings.database_url) as conn:
            while True:
                page = await read_stream(
                    conn,
                    tenant or self.settings.default_tenant,
                    stream,
                    from_version=len(events) + 1,
                    limit=_PAGE,
                )
                events += [
                    cast(Event, self._registry.decode(each.type, each.data, AVRO_BINARY, each.schema)) for each in page
                ]
                if len(page) < _PAGE:
                    return events


@asynccontextmanager
async def working(
    modules: Sequence[Module], settings: Settings, at: Hook = nowhere, *, with_workflows: bool = False
) -> AsyncGenerator[Client]:
    """A worker in this process, and a client to speak to it.

    Args:
        modules: which to run.
        settings: where their servers are.
        at: told where the worker's shard engines and projectors are.
        with_workflows: whether to run their workflows, too.
    """
    stop = asyncio.Event()
    await prepare(modules, settings)
    running = asyncio.create_task(Worker(modules, settings, at, with_workflows=with_workflows).run(stop))
    try:
        async with Client(settings, Registry.of(modules)) as client:
            yield client
    finally:
        stop.set()
        await asyncio.wait_for(running, STOPS_WITHIN_S)


@asynccontextmanager
async def running_platform(
    modules: Sequence[Module], settings: Settings, *, with_workflows: bool = False
) -> AsyncGenerator[Platform]:
    """Modules at work, for as long as the block runs: with their tables, so that one may ask at once."""
    async with working(modules, settings, with_workflows=with_workflows) as client:
        await _projecting(modules, settings)
        yield Platform(settings, client, Registry.of(modules))


async def _projecting(modules: Sequence[Module], settings: Settings) -> None:
    """Wait until every projection has its tables, and follows events.

    Raises:
        TimeoutError: if that takes too long; the log says why.
    """
    names = [projection.full_name() for module in modules for projection in module.projections]
    if not names:
        return
    async with asyncio.timeout(STARTS_WITHIN_S), await connect(settings.database_url) as conn:
        while True:
            cursor = await conn.execute(statement("least_checkpoint"), {"projections": names})
            if await cursor.fetchone() is not None:
                return
            await asyncio.sleep(_LOOK_S)
