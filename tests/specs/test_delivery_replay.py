"""The engine does nothing that the model can't do: what it did under kills is replayed on the model."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from datapunk.settings import Settings
from datapunk.store.connection import connect
from specs.delivery_replay import Recording, accepts
from tests.chaos.history import History
from tests.raw import raw_client
from tests.specs.tracing import Trace, shown

WITHOUT_KILLS = Recording(
    queue=[1, 2, 1],
    points=["before_commit", "after_commit", "after_publish", "after_confirm", "before_ack"],
    commits=[2],
    shown=[1, 2],
)


@pytest.mark.parametrize(
    "kills",
    [
        ["after_commit:1", "after_publish:1", "before_commit:2"],
        ["before_ack:1", "after_confirm:2", "after_commit:2"],
    ],
)
async def test_the_model_can_do_what_the_engine_did_under_kills(
    settings: Settings, tmp_path: Path, kills: list[str]
) -> None:
    settings = settings.model_copy(update={"shards": 1, "batch_commands": 3})
    trace = await Trace.begin(settings, tmp_path / "trace")
    history = History(settings)
    await history.subscribe()
    for kill in kills:
        await history.send("a", 4)  # two batches
        async with trace.worker(0, crash_at=kill) as worker:
            await trace.killed(0, worker)
    async with raw_client(settings) as raw:
        await raw.deposit("a", 1, message_id=history.sent["a"][0])
        async with trace.worker(0) as worker:
            await asyncio.wait_for(raw.replies.get(), 30)  # all before it are decided and published
            worker.terminate()
            assert await asyncio.wait_for(worker.wait(), 30) == 0
    assert await history.are_all_processed()
    recording = Recording(
        queue=[*range(1, len(history.sent["a"]) + 1), 1],
        points=[each.point for each in trace.passed()],
        commits=await _commits(settings),
        shown=await shown(settings),
    )
    assert recording.points.count("killed") == len(kills)
    assert accepts(recording), recording
    assert not accepts(replace(recording, shown=recording.shown[:-1])), "one event less seen"


@pytest.mark.parametrize(
    ("wrong", "is_accepted"),
    [
        (WITHOUT_KILLS, True),
        (replace(WITHOUT_KILLS, shown=[2, 1]), False),
        (replace(WITHOUT_KILLS, shown=[1]), False),
        (replace(WITHOUT_KILLS, commits=[1]), False),
        (replace(WITHOUT_KILLS, queue=[1, 2, 3]), False),
        (
            replace(
                WITHOUT_KILLS,
                points=["before_commit", "after_commit", "after_confirm", "before_ack", "after_publish"],
            ),
            False,
        ),
        (
            replace(
                WITHOUT_KILLS,
                points=["before_commit", "after_commit", "after_publish", "before_ack", "after_confirm"],
            ),
            False,
        ),
    ],
    ids=[
        "right",
        "out of order",
        "not published",
        "half committed",
        "not processed",
        "acknowledged before published",
        "acknowledged before confirmed",
    ],
)
def test_the_model_can_not_do_what_would_be_wrong(wrong: Recording, is_accepted: bool) -> None:
    assert accepts(wrong) == is_accepted


async def _commits(settings: Settings) -> Sequence[int]:
    """The last event of each transaction."""
    async with await connect(settings.database_url) as conn:
        cursor = await conn.execute("select max(version) from events group by at order by 1")
        return [row[0] for row in await cursor.fetchall()]
