"""Answers queries from projections: one read-only snapshot a query, after what the reader must see is there."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager, AsyncExitStack, nullcontext
from time import monotonic
from types import TracebackType
from typing import Any

import psycopg
from psycopg_pool import PoolTimeout

from datapunk.cache.answers import KeptAnswers
from datapunk.errors import PositionUnknown, ReplyTimeout, UnknownMessageType
from datapunk.messages.message import Answer, Query
from datapunk.messages.registry import Registry
from datapunk.module import Module
from datapunk.projection import Asked, Projection, QueryHandler
from datapunk.settings import Settings
from datapunk.store.connection import pool
from datapunk.store.read import last_position
from datapunk.store.statements import statement

POOL = 16  # connections, a process and module: as many as the query server has under way, without those that wait
LOOK_FIRST_S, LOOK_MOST_S = 0.002, 0.25  # pauses between looks at a checkpoint: who has waited for long may wait longer

Waiting = Callable[[], AbstractContextManager[None]]


class _TablesReplaced(Exception):  # an instruction: ask again
    """A rebuild switched tables in the middle of a query, which may have seen some of each."""


class Answerer:
    """Runs the query handlers of one module. Use as an async context manager."""

    def __init__(self, module: Module, registry: Registry, settings: Settings) -> None:
        self._handlers = {handler.query: handler for handler in module.queries}
        self._registry = registry
        self._settings = settings
        self._pool = pool(settings.database_url, least=1, most=POOL)
        self._kept = {
            handler.query: KeptAnswers(handler.query, handler.cached, registry, settings)
            for handler in module.queries
            if handler.cached
        }
        self._open = AsyncExitStack()

    async def __aenter__(self) -> Answerer:
        await self._pool.open()
        for kept in self._kept.values():
            await self._open.enter_async_context(kept)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._open.aclose()
        await self._pool.close()

    async def answer(
        self, query: Query, *, tenant: str, after: int | None, timeout_s: float, waiting: Waiting = nullcontext
    ) -> Answer:
        """Answer one query.

        Args:
            query: what is asked.
            tenant: who asks.
            after: a position that the answer must reflect: a client passes its command's, to read its own write.
            timeout_s: how long all of it may take.
            waiting: entered while nothing is done but wait for `after`; what it raises is the answer.

        Raises:
            Rejected: by the handler.
            PositionUnknown: if no event has `after` for a position, or one behind it.
            ReplyTimeout: if the projections aren't there in time, or the query takes too long.
            UnknownMessageType: if nobody here answers this query.
        """
        handler = self._handlers.get(type(query))
        if handler is None:
            raise UnknownMessageType(f"nobody here answers {query.message_type}")
        kept = self._kept.get(type(query))
        if kept is None:
            return await self._read(handler, query, tenant, after, timeout_s, waiting)

        async def read() -> Answer:  # perhaps for others, too, who may be more patient
            return await self._read(handler, query, tenant, after, self._settings.query_timeout_s, waiting)

        try:
            async with asyncio.timeout(timeout_s):
                return await kept.answer(query, tenant, after or 0, read)
        except TimeoutError:
            raise ReplyTimeout(f"{query.message_type} took longer than {timeout_s:g} s; narrow it down") from None

    async def _read(
        self,
        handler: QueryHandler,
        query: Query,
        tenant: str,
        after: int | None,
        timeout_s: float,
        waiting: Waiting,
    ) -> Answer:
        """From the tables."""
        deadline = monotonic() + timeout_s
        pause, replans = LOOK_FIRST_S, 0
        while True:
            try:
                return await self._try(handler, query, tenant, after, deadline, waiting)
            except _TablesReplaced:
                continue
            except psycopg.errors.FeatureNotSupported:
                # Prepared on tables that a rebuild gave other columns; the rollback made the connection forget it.
                if replans == POOL:
                    raise
                replans += 1
            except psycopg.errors.QueryCanceled:
                raise ReplyTimeout(f"{query.message_type} took longer than {timeout_s:g} s; narrow it down") from None
            except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName):
                raise ReplyTimeout(f"the tables behind {query.message_type} don't exist yet; try again") from None
            except psycopg.errors.UndefinedColumn:
                if await self._are_of_this_release(handler.projections, deadline):
                    raise
                raise ReplyTimeout(
                    f"the tables behind {query.message_type} are those of another release until they're rebuilt "
                    "(`datapunk projections list`); try again"
                ) from None
            except (psycopg.OperationalError, psycopg.InterfaceError, PoolTimeout) as error:
                # A connection that broke while it was idle, or Postgres restarting: reading again is harmless.
                if monotonic() + pause > deadline:
                    raise ReplyTimeout(f"the database is away: {error}; try again") from None
                await asyncio.sleep(pause)
                pause = min(pause * 2, LOOK_MOST_S)

    async def _try(
        self,
        handler: QueryHandler,
        query: Query,
        tenant: str,
        after: int | None,
        deadline: float,
        waiting: Waiting,
    ) -> Answer:
        if after is not None and not await self._is_there(handler.projections, after, deadline):
            with waiting():
                await self._wait(handler.projections, after, deadline)
        async with self._connection(deadline) as conn, conn.transaction():
            return await self._answer(conn, handler, query, tenant, deadline)

    async def _is_there(self, projections: Sequence[type[Projection]], position: int, deadline: float) -> bool:
        """Whether projections have applied all events up to a position."""
        async with self._connection(deadline) as conn:
            if await _least_checkpoint(conn, projections) >= position:
                return True
            if (last := await last_position(conn)) < position:
                raise PositionUnknown(
                    f"there is no position {position} yet, the last one is {last}: pass the position of an outcome"
                )
        return False

    async def _are_of_this_release(self, projections: Sequence[type[Projection]], deadline: float) -> bool:
        """Whether what serves was made by the projections as they are here."""
        wanted = {projection.full_name(): projection.version for projection in projections}
        async with self._connection(deadline) as conn:
            cursor = await conn.execute(statement("query_served_versions"), {"projections": list(wanted)})
            return dict(await cursor.fetchall()) == wanted

    async def _wait(self, projections: Sequence[type[Projection]], position: int, deadline: float) -> None:
        """Wait until they have; others use the connection meanwhile."""
        pause, reached = LOOK_FIRST_S, 0
        while monotonic() + pause <= deadline:
            await asyncio.sleep(pause)
            pause = min(pause * 2, LOOK_MOST_S)
            async with self._connection(deadline) as conn:
                reached = await _least_checkpoint(conn, projections)
            if reached >= position:
                return
        names = ", ".join(projection.full_name() for projection in projections)
        raise ReplyTimeout(f"{names} reached position {reached} of {position} in time; try again")

    def _connection(self, deadline: float) -> AbstractAsyncContextManager[psycopg.AsyncConnection[Any]]:
        return self._pool.connection(timeout=max(0.0, deadline - monotonic()))

    async def _answer(
        self, conn: psycopg.AsyncConnection[Any], handler: QueryHandler, query: Query, tenant: str, deadline: float
    ) -> Answer:
        await conn.execute("set transaction isolation level repeatable read, read only")
        left_ms = max(1, int((deadline - monotonic()) * 1000))
        await conn.execute("select set_config('statement_timeout', %s, true)", (str(left_ms),))
        answer = await handler.function(query, Asked(conn, tenant))
        schemas = [projection.schema() for projection in handler.projections]
        cursor = await conn.execute(statement("are_tables_of_snapshot"), {"schemas": schemas})
        if await cursor.fetchone() == (False,):
            raise _TablesReplaced
        return answer


async def _least_checkpoint(conn: psycopg.AsyncConnection[Any], projections: Sequence[type[Projection]]) -> int:
    names = [projection.full_name() for projection in projections]
    cursor = await conn.execute(statement("least_checkpoint"), {"projections": names})
    row = await cursor.fetchone()
    return row[0] if row and row[0] is not None else 0
