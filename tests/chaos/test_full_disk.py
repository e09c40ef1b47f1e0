"""Postgres' disk is full: commands wait, and go on once there's room again."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from datapunk.settings import Settings
from datapunk.stack.logs import log_path
from datapunk.worker import prepare
from tests.accounts.module import accounts
from tests.chaos.history import History
from tests.chaos.load import under_load
from tests.own_stack import Place
from tests.small_disk import small_disk
from tests.working import eventually, worker_process

DISK = "256m"  # an empty database has 60 MB, and a segment of its log 16 MB


@pytest.fixture
def home(place: Place) -> Iterator[Path]:
    """Postgres' home, on a disk of its own."""
    with small_disk(place.directory / "postgres", DISK) as home:
        yield home
        place.launcher.stop()


@pytest.mark.servers
async def test_a_full_disk_loses_and_doubles_nothing(place: Place, home: Path, own_settings: Settings) -> None:
    ballast = home / "ballast"

    async def is_noticed() -> bool:
        return "No space left on device" in log_path(place.directory, "postgres").read_text(errors="replace")

    await prepare([accounts], own_settings)
    history = History(own_settings)
    await history.subscribe()
    async with worker_process(own_settings) as worker:
        async with under_load(history) as load:
            await load.progress()
            with ballast.open("wb") as file, suppress(OSError):
                while True:
                    os.write(file.fileno(), bytes(1_000_000))
            await eventually(is_noticed, "Postgres can't write")
            ballast.unlink()
            await load.progress()
        await history.check()
        assert worker.returncode is None, "a worker waits"
