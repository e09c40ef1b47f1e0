"""Connections to Postgres."""

from __future__ import annotations

from typing import Any

from psycopg import AsyncConnection

# A writer holds readers back while its transaction is open; a frozen one is cut off after this.
FROZEN_WRITER_MS = 10_000
CONNECT_TIMEOUT_S = 10


async def connect(database_url: str, *, writer: bool = False) -> AsyncConnection[Any]:
    """Open a connection in autocommit: transactions are always explicit.

    Args:
        database_url: where.
        writer: whether it appends events.
    """
    conn = await AsyncConnection[Any].connect(
        database_url, autocommit=True, connect_timeout=CONNECT_TIMEOUT_S, prepare_threshold=2
    )
    if writer:
        limit = str(FROZEN_WRITER_MS)
        await conn.execute("select set_config('idle_in_transaction_session_timeout', %s, false)", (limit,))
    return conn
