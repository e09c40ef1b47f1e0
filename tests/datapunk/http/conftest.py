"""A facade that listens, with a worker of accounts behind it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest

from datapunk.settings import Settings
from tests.accounts.module import accounts
from tests.serving import serving
from tests.working import working


@pytest.fixture
async def http(settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a facade of accounts."""
    async with working([accounts], settings), serving([accounts], settings) as client:
        yield client
