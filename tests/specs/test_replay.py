"""The engine does nothing that the model can't do: what it did under kills is replayed on the model."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import aio_pika
import pytest

from datapunk.settings import Settings
from datapunk.store.connection import connect
from datapunk.worker import prepare
from specs.replay import Recording, accepts
from tests.accounts.module import accounts
from tests.chaos.history import EVENTS, History
from tests.raw import raw_client
from tests.specs.traced_main import VARIABLE
from tests.working import eventually, worker_process

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
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kills: list[str]
) -> None:
    trace = tmp_path / "trace"
    monkeypatch.setenv(VARIABLE, str(trace))
    settings = settings.model_copy(update={"shards": 1, "batch_commands": 3})
    await prepare([accounts], settings)
    history = History(settings)
    await history.subscribe()
    for kill in kills:
        await history.send("a", 4)  # two batches
        async with worker_process(settings, main="tests.specs.traced_main", crash_at=kill) as worker:
            assert await asyncio.wait_for(worker.wait(), 30) == -signal.SIGKILL
        with trace.open("a") as file:
            file.write("killed\n")
    async with raw_client(settings) as raw:
        await raw.deposit("a", 1, message_id=history.sent["a"][0])
        async with worker_process(settings, main="tests.specs.traced_main") as worker:
            await asyncio.wait_for(raw.replies.get(), 30)  # all before it are decided and published
            worker.terminate()
            assert await asyncio.wait_for(worker.wait(), 30) == 0
    assert await history.processed() == len(history.sent["a"])
    recording = Recording(
        queue=[*range(1, len(history.sent["a"]) + 1), 1],
        points=trace.read_text().split(),
        commits=await _commits(settings),
        shown=await _shown(settings),
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


async def _shown(settings: Settings) -> Sequence[int]:
    """The versions that a subscriber saw, until it has seen all of them and no more come."""
    versions: list[int] = []
    async with await aio_pika.connect(settings.broker_url) as connection:
        channel = await connection.channel()
        queue = await channel.get_queue(EVENTS, ensure=False)

        async def is_empty() -> bool:
            message = await queue.get(no_ack=True, fail=False)
            if message is not None:
                versions.append(int(str(message.headers["version"])))
            return message is None

        await eventually(is_empty, "all events are taken")
    return versions
