"""A reader's project, for pages that work on one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from datapunk.settings import Settings
from tests.docs.project import Project, installed


@pytest.fixture
async def project(settings: Settings, tmp_path: Path) -> AsyncIterator[Project]:
    """examples/orders, installed, with servers of the test's own."""
    async with installed(settings, tmp_path) as project:
        yield project
