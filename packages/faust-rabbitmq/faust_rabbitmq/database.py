"""Postgres: one connection, opened when needed and again when lost, and the statements in `sql/`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import cache
from importlib.resources import files
from typing import Any, LiteralString, cast

import psycopg
from psycopg.rows import TupleRow

__all__ = ["Database", "Transaction"]

_CONNECT_WITHIN_S = 5
_STATEMENT_WITHIN_MS = 10_000  # a server that hangs is as good as away


@cache
def _statement(name: str) -> LiteralString:
    return cast("LiteralString", files("faust_rabbitmq").joinpath("sql", f"{name}.sql").read_text())


class Transaction:
    """Statements that take effect together."""

    def __init__(self, connection: psycopg.AsyncConnection[TupleRow]) -> None:
        self._connection = connection

    async def run(self, statement: str, **parameters: Any) -> list[TupleRow]:
        """Run a statement of `sql/`; its rows."""
        cursor = await self._connection.execute(_statement(statement), parameters or None)
        return await cursor.fetchall() if cursor.description is not None else []

    async def row(self, statement: str, **parameters: Any) -> TupleRow | None:
        """The first row of a statement of `sql/`."""
        rows = await self.run(statement, **parameters)
        return rows[0] if rows else None


class Database:
    """A connection to Postgres that one at a time uses.

    Args:
        url: a libpq URL or connection string.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._connection: psycopg.AsyncConnection[TupleRow] | None = None
        self._turn = asyncio.Lock()

    @asynccontextmanager
    async def transaction(self) -> AsyncGenerator[Transaction]:
        """Begin a transaction; it's committed at the end, or undone by an error.

        Raises:
            psycopg.Error: the database is away, or refuses.
        """
        async with self._turn:
            connection = await self._connected()
            async with connection.transaction():
                yield Transaction(connection)

    async def prepare(self) -> None:
        """Create the tables, unless they're there."""
        async with self.transaction() as transaction:
            await transaction.run("lock_creation")
            await transaction.run("create_tables")

    async def close(self) -> None:
        """Close the connection."""
        async with self._turn:
            if self._connection is not None:
                await self._connection.close()

    async def _connected(self) -> psycopg.AsyncConnection[TupleRow]:
        if self._connection is None or self._connection.broken or self._connection.closed:
            self._connection = await psycopg.AsyncConnection.connect(
                self._url,
                autocommit=True,
                connect_timeout=_CONNECT_WITHIN_S,
                options=f"-c statement_timeout={_STATEMENT_WITHIN_MS}",
                application_name="faust-rabbitmq",
            )
        return self._connection
