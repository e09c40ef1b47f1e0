"""Connections to Postgres."""

from __future__ import annotations

from typing import Any

from psycopg import AsyncConnection
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg_pool import AsyncConnectionPool

# A writer holds readers back while its transaction is open; a frozen one is cut off after this.
FROZEN_WRITER_MS = 10_000
CONNECT_TIMEOUT_S = 10
POOL_WAIT_S = 30.0  # for a connection of a pool
# A server whose packets don't come through any more is given up after so long, and not when TCP would do it (15
# minutes while something is under way, 2 hours while nothing is).
SILENCE_S = 20
_SILENCE = {
    "keepalives_idle": SILENCE_S // 2,
    "keepalives_interval": SILENCE_S // 4,
    "keepalives_count": 2,
    "tcp_user_timeout": SILENCE_S * 1000,
}

Pool = AsyncConnectionPool[AsyncConnection[Any]]


async def connect(database_url: str, *, writer: bool = False) -> AsyncConnection[Any]:
    """Open a connection in autocommit: transactions are always explicit.

    Args:
        database_url: where.
        writer: whether it appends events.
    """
    conn = await AsyncConnection[Any].connect(
        patient(database_url), autocommit=True, connect_timeout=CONNECT_TIMEOUT_S, prepare_threshold=2
    )
    if writer:
        limit = str(FROZEN_WRITER_MS)
        await conn.execute("select set_config('idle_in_transaction_session_timeout', %s, false)", (limit,))
    return conn


def pool(database_url: str, *, least: int, most: int, wait_s: float = POOL_WAIT_S) -> Pool:
    """A pool of connections in autocommit, to be opened and closed by whoever makes it.

    Args:
        database_url: where.
        least: connections kept open.
        most: connections at a time.
        wait_s: how long to wait for one.
    """
    return AsyncConnectionPool(
        patient(database_url),
        min_size=least,
        max_size=most,
        timeout=wait_s,
        open=False,
        kwargs={"autocommit": True},
    )


def patient(database_url: str) -> str:
    """How to connect there, with a limit to how long the server may be silent; the URL may have another."""
    return make_conninfo("", **{**_SILENCE, **conninfo_to_dict(database_url)})
