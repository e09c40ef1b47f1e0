"""Servers that do fsync: what is measured is durable."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from datapunk.stack.running import Endpoints
from tests.bench.arena import durable_servers


@pytest.fixture(scope="session")
def durable_stack() -> Iterator[Endpoints]:
    """Servers that do fsync."""
    with durable_servers() as endpoints:
        yield endpoints
