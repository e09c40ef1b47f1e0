"""A store that an archive goes into."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from psycopg import AsyncConnection

from datapunk.store.connection import connect


@pytest.fixture
async def target(second_database_url: str) -> AsyncIterator[AsyncConnection[Any]]:
    """A connection to an empty store."""
    async with await connect(second_database_url) as conn:
        yield conn
