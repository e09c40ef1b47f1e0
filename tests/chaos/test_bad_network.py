"""A network that cuts connections in the middle of a frame, is slow, or falls silent: what was confirmed holds."""

from __future__ import annotations

import pytest

from datapunk.settings import Settings
from datapunk.worker import prepare
from tests.accounts.module import accounts
from tests.chaos.history import History
from tests.chaos.load import under_load
from tests.chaos.owners import owned_by
from tests.chaos.toxiproxy import CUTS, SILENCE, SLOWNESS, Line, Toxiproxy
from tests.working import worker_process


@pytest.fixture(params=["broker_url", "database_url"])
def server(request: pytest.FixtureRequest) -> str:
    """The setting of the server that is far away."""
    return request.param


@pytest.fixture
def line(server: str, settings: Settings, toxiproxy: Toxiproxy) -> Line:
    """The way there."""
    return toxiproxy.line_to(getattr(settings, server), server)


@pytest.fixture
def far(server: str, settings: Settings, line: Line) -> Settings:
    """The settings of a worker that is far away from that server."""
    return settings.model_copy(update={server: line.url})


@pytest.fixture
async def history(settings: Settings) -> History:
    """Of clients that are near."""
    await prepare([accounts], settings)
    history = History(settings)
    await history.subscribe()
    return history


async def test_a_connection_cut_in_the_middle_of_a_frame_loses_and_doubles_nothing(
    history: History, line: Line, far: Settings
) -> None:
    async with worker_process(far) as worker:
        async with under_load(history) as load:
            await load.progress()
            for toxic in CUTS:
                await line.cut(toxic)
                await load.progress()
        await history.check()
        assert worker.returncode is None, "a worker outlives its connections"


async def test_a_slow_network_loses_and_doubles_nothing(history: History, line: Line, far: Settings) -> None:
    async with worker_process(far), under_load(history) as load:
        await load.progress()
        async with line.being(SLOWNESS):
            await load.progress()
    async with worker_process(far):
        await history.check()


async def test_a_worker_that_hears_nothing_any_more_is_replaced(
    history: History, line: Line, far: Settings, settings: Settings
) -> None:
    async with worker_process(far) as deaf, worker_process(settings):
        async with under_load(history) as load:
            await owned_by(2, settings)
            async with line.being(SILENCE):
                await owned_by(1, settings)
                await load.progress()
            await owned_by(2, settings)
            await load.progress()
        await history.check()
        assert deaf.returncode is None, "it starts over"
