"""The one form of a stored thing that checksums and hashes are made of, whatever file or server it was read from."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
from psycopg import AsyncConnection

# The fields of the dataclass in their order; keys of maps sorted; bytes in base64.
_encoder = msgspec.json.Encoder(order="deterministic")

canonical = _encoder.encode


@asynccontextmanager
async def one_moment(conn: AsyncConnection[Any]) -> AsyncGenerator[None]:
    """All that is read in the block is of one moment, and nothing is written; times are in UTC, as `canonical` asks.

    Args:
        conn: in autocommit, outside a transaction.
    """
    async with conn.transaction():
        await conn.execute("set transaction isolation level repeatable read, read only")
        await conn.execute("set local time zone 'UTC'")
        yield
