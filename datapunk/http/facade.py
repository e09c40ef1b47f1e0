"""What the request handlers share: the catalogue of messages, a client of the broker, a pool to the store."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Annotated, cast

import psycopg
from fastapi import Depends, Request
from psycopg_pool import PoolTimeout

from datapunk.client import Client
from datapunk.ending import end
from datapunk.errors import BrokerError, ConnectionLost
from datapunk.health import BrokerCheck, DatabaseCheck, Health
from datapunk.http.problems import Problem
from datapunk.http.tail import EventTail
from datapunk.messages.catalogue import Catalogue
from datapunk.messages.registry import Registry
from datapunk.module import Module
from datapunk.settings import Settings
from datapunk.store.connection import pool
from datapunk.telemetry import logs

SERVICE = "http"
MOST_CONNECTIONS = 4  # to Postgres, a process: events and outcomes are read a page at a time
WAIT_FOR_CONNECTION_S = 3.0
RETRY_FIRST_S, RETRY_MOST_S = 0.2, 5.0  # between two attempts to reach the broker

log = logs.get_logger(__name__)


class Facade:
    """Everything behind the HTTP API. It starts even while broker and database are away.

    Args:
        settings: where the servers are, and the limits.
        modules: whose messages are offered.
        prepared: set once the servers have what the modules need; None: they have it already.
    """

    def __init__(self, settings: Settings, modules: Sequence[Module], prepared: asyncio.Event | None = None) -> None:
        self.settings = settings
        self.prepared = prepared or _already()
        self.registry = Registry.of(modules)
        self.catalogue = Catalogue(self.registry, modules)
        self.pool = pool(settings.database_url, least=0, most=MOST_CONNECTIONS, wait_s=WAIT_FOR_CONNECTION_S)
        self.tail = EventTail(self.pool, self.registry)
        self.health = Health(SERVICE, {"postgres": DatabaseCheck(settings), "broker": BrokerCheck(settings)})
        self.open_streams = 0
        self._client: Client | None = None

    @property
    def client(self) -> Client:
        """The client of the broker.

        Raises:
            ConnectionLost: while the broker can't be reached.
        """
        if self._client is None:
            raise ConnectionLost("the broker can't be reached; try again")
        return self._client

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[Facade]:
        """Hold the connections for as long as the block runs."""
        await self.pool.open(wait=False)
        starting = asyncio.create_task(self._start())
        try:
            async with self.health.checking():
                yield self
        finally:
            await end([starting])
            await self.tail.close()
            if self._client is not None:
                with suppress(BrokerError, OSError):
                    await self._client.__aexit__(None, None, None)
            await self.pool.close()

    async def _start(self) -> None:
        await self.prepared.wait()
        await asyncio.gather(self._connect(), self._learn_schemas())
        self.health.started()

    async def _connect(self) -> None:
        pause = RETRY_FIRST_S
        while True:
            client = Client(self.settings, self.registry)
            try:
                self._client = await client.__aenter__()
            except Exception as error:  # whatever it is, the next attempt may succeed; readiness tells meanwhile
                log.warning("broker away", error=str(error), retry_in_s=pause)
                await asyncio.sleep(pause)
                pause = min(pause * 2, RETRY_MOST_S)
            else:
                return

    async def _learn_schemas(self) -> None:
        """Events were written with schemas of other times: the table `schemas` has them."""
        pause = RETRY_FIRST_S
        while True:
            try:
                async with self.pool.connection() as conn:
                    await self.registry.sync(conn)
            except (psycopg.Error, PoolTimeout) as error:  # away, or not migrated yet
                log.warning("database away", error=str(error), retry_in_s=pause)
                await asyncio.sleep(pause)
                pause = min(pause * 2, RETRY_MOST_S)
            else:
                return


def _already() -> asyncio.Event:
    event = asyncio.Event()
    event.set()
    return event


def _facade(request: Request) -> Facade:
    facade = cast(Facade, request.app.state.facade)
    if not facade.prepared.is_set():
        raise Problem(503, "starting", "the database and the broker are being prepared; try again")
    return facade


TheFacade = Annotated[Facade, Depends(_facade)]
