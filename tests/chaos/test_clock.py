"""Workers whose wall clocks are wrong, as after a jump: leases, the inbox and snapshots go by the database's."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest

from datapunk.settings import Settings
from datapunk.store.connection import connect
from datapunk.worker import prepare
from tests.accounts.module import accounts
from tests.chaos.history import History
from tests.chaos.load import under_load
from tests.chaos.owners import owned_by
from tests.working import worker_process

INBOX_S = 30 * 86_400  # so long the inbox remembers, by default


@pytest.fixture(params=["+40d", "-40d"])
def wrong(request: pytest.FixtureRequest) -> dict[str, str]:
    """The environment of a process whose wall clock is off by more than that; ld.so knows what `$LIB` is."""
    faked = {
        "LD_PRELOAD": "/usr/$LIB/faketime/libfaketimeMT.so.1",
        "FAKETIME": request.param,
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }
    asked = [sys.executable, "-c", "import time; print(time.time())"]
    answer = subprocess.run(asked, env={**os.environ, **faked}, capture_output=True, text=True, check=True)
    assert abs(float(answer.stdout) - time.time()) > INBOX_S, "is libfaketime there? (ops/install.sh --with-checks)"
    return faked


async def test_a_worker_with_a_wrong_wall_clock_loses_and_doubles_nothing(
    settings: Settings, wrong: dict[str, str]
) -> None:
    snapped = settings.model_copy(update={"snapshot_every": 10})
    await prepare([accounts], snapped)
    history = History(snapped)
    await history.subscribe()
    async with worker_process(snapped) as right, under_load(history) as load:
        async with worker_process(snapped, more=wrong):
            await owned_by(2, snapped)
            await load.progress()
            right.kill()
            await owned_by(1, snapped)
            await load.progress()
        async with worker_process(snapped):
            await load.progress()
    async with worker_process(snapped):
        await history.check()
    async with await connect(snapped.database_url) as conn:
        cursor = await conn.execute(
            "select from (select at from inbox union all select at from events) seen"
            " where at not between now() - interval '1 hour' and now()"
        )
        assert cursor.rowcount == 0, "all is dated by the database's clock"
