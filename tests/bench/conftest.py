"""Servers that do fsync: what is measured is durable."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from datapunk.stack.running import Endpoints, running_stack


@pytest.fixture(scope="session")
def durable_stack() -> Iterator[Endpoints]:
    """Servers that do fsync."""
    with tempfile.TemporaryDirectory(prefix="datapunk-bench-") as folder:
        Path(folder).chmod(0o755)  # Postgres' own account enters it
        with running_stack(Path(folder), only=("postgres", "rabbitmq"), throwaway=False) as endpoints:
            yield endpoints
