"""Lake for tests of its projections."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from datapunk.settings import Settings
from tests.projections.lake.running import Lake, running_lake


@pytest.fixture
async def running(settings: Settings) -> AsyncIterator[Lake]:
    """A worker that runs Lake, and a client."""
    async with running_lake(settings) as lake:
        yield lake
