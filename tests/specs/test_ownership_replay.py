"""Two processes and a shard do nothing that the model can't do: what they did under kills and freezes is replayed."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from datapunk.settings import Settings
from datapunk.store.connection import connect
from specs.ownership_replay import Commit, Recording, accepts
from specs.replay import Passed
from tests.chaos.history import History
from tests.management import Management
from tests.specs.tracing import Trace, shown, until_frozen
from tests.working import eventually

A, B = 0, 1
BATCH = ("before_commit", "after_commit", "after_publish", "after_confirm", "before_ack")


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """One shard, one command a batch (how they overlap is for delivery), and patience with slow owners."""
    return settings.model_copy(update={"shards": 1, "prefetch": 1, "member_timeout_s": 4.0})


async def test_the_model_can_do_what_a_zombie_and_its_heirs_did(settings: Settings, tmp_path: Path) -> None:
    trace = await Trace.begin(settings, tmp_path / "trace")
    history = History(settings)
    await history.subscribe()
    await history.send("a", 2)
    async with trace.worker(A, freeze_at="before_commit:2") as zombie:
        await until_frozen(zombie)
        await Management.of(settings.broker_url).kill_connection("accounts.consume")  # it missed its heartbeats
        async with trace.worker(B, crash_at="after_commit:1") as heir:
            await trace.killed(B, heir)
        zombie.send_signal(signal.SIGCONT)
        await trace.until_passed(A, "session_ended")
        await history.send("a", 1)
        await eventually(history.are_all_processed, "all commands are processed")
        async with trace.worker(B):
            zombie.terminate()  # it hands over
            assert await asyncio.wait_for(zombie.wait(), 60) == 0
            await history.send("a", 1)
            await eventually(history.are_all_processed, "all commands are processed")
            recording = await _recording(trace, history)
    assert {commit.process for commit in recording.commits} == {A, B}
    assert accepts(recording), recording
    *others, last = recording.commits
    assert not accepts(replace(recording, commits=[*others, replace(last, epoch=others[0].epoch)])), "in an old epoch"


async def test_the_model_can_do_what_an_owner_frozen_as_it_hands_over_did(settings: Settings, tmp_path: Path) -> None:
    trace = await Trace.begin(settings, tmp_path / "trace")
    history = History(settings)
    await history.subscribe()
    await history.send("a", 1)
    async with trace.worker(A, crash_at="epoch_begun") as first:
        await trace.killed(A, first)
    async with trace.worker(A, freeze_at="handing_over") as former:
        await eventually(history.are_all_processed, "all commands are processed")
        former.terminate()
        await until_frozen(former)
        await history.send("a", 1)
        async with trace.worker(B):
            await trace.until_passed(B, "after_recovery")
            former.send_signal(signal.SIGCONT)
            assert await asyncio.wait_for(former.wait(), 60) == 0
            await history.send("a", 1)
            await eventually(history.are_all_processed, "all commands are processed")
            recording = await _recording(trace, history)
    assert {commit.process for commit in recording.commits} == {A, B}
    assert accepts(recording), recording


def _points(text: str) -> list[Passed]:
    """Points of A and B, as in `A:before_commit`; `A:batch` stands for all of a batch."""
    passed: list[Passed] = []
    for word in text.split():
        process, _, point = word.partition(":")
        passed += [Passed("AB".index(process), each) for each in (BATCH if point == "batch" else [point])]
    return passed


HANDED_OVER = Recording(
    passed=_points(
        "A:epoch_begun A:after_recovery A:batch A:handing_over A:handed_over "
        "B:epoch_begun B:after_recovery B:batch B:batch"
    ),
    commits=[Commit(A, 2, 1), Commit(B, 4, 2), Commit(B, 4, 3)],
    effects=[1, 2, 3],
    shown=[1, 2, 3],
)
WOKEN = replace(
    HANDED_OVER,
    passed=_points(
        "A:epoch_begun A:after_recovery A:before_commit B:epoch_begun B:after_recovery B:batch "
        "A:after_commit A:after_publish A:session_ended B:batch"
    ),
)


@pytest.mark.parametrize(
    ("wrong", "is_accepted"),
    [
        (HANDED_OVER, True),
        (WOKEN, True),
        (replace(HANDED_OVER, commits=[Commit(A, 2, 1), Commit(B, 2, 2), Commit(B, 2, 3)]), False),
        (replace(WOKEN, commits=[Commit(B, 4, 1), Commit(A, 2, 2), Commit(B, 4, 3)]), False),
        (replace(HANDED_OVER, commits=[Commit(A, 2, 1), Commit(B, 4, 1), Commit(B, 4, 3)]), False),
        (replace(HANDED_OVER, effects=[1, 2, 2]), False),
        (replace(HANDED_OVER, effects=[2, 1, 3]), False),
        (replace(HANDED_OVER, shown=[2, 1, 3]), False),
        (
            replace(
                HANDED_OVER,
                passed=_points(
                    "A:epoch_begun A:after_recovery A:before_commit A:after_commit A:handing_over A:handed_over "
                    "A:after_publish A:after_confirm A:before_ack B:epoch_begun B:after_recovery B:batch B:batch"
                ),
            ),
            False,
        ),
        (
            replace(
                HANDED_OVER,
                passed=_points(
                    "A:epoch_begun A:batch A:handing_over A:handed_over B:epoch_begun B:after_recovery B:batch B:batch"
                ),
            ),
            False,
        ),
        (
            replace(
                HANDED_OVER,
                passed=_points("A:epoch_begun A:after_recovery A:batch B:before_commit B:after_commit B:batch B:batch"),
            ),
            False,
        ),
    ],
    ids=[
        "right",
        "a zombie that committed in time, and learned of it late",
        "two commit under one epoch",
        "a zombie's commit counts (UNFENCED)",
        "decided on an old state (NO_OPTIMISTIC_CONCURRENCY)",
        "takes effect twice",
        "newer commands first (CANCELLED_FIRST, NO_SINGLE_ACTIVE_CONSUMER)",
        "published out of order",
        "released before its batch is done (RELEASED_EARLY)",
        "without recovery",
        "without a lease",
    ],
)
def test_the_model_can_not_do_what_would_be_wrong(wrong: Recording, is_accepted: bool) -> None:
    assert accepts(wrong) == is_accepted


async def _recording(trace: Trace, history: History) -> Recording:
    """What was seen; each command led to one event."""
    async with await connect(trace.settings.database_url) as conn:
        cursor = await conn.execute(
            "select process, numbers[1], max(version) from trace join events on events.xmin = trace.xid::xid "
            "where what = 'fenced' group by trace.id order by 3"
        )
        commits = [Commit(int(row[0]), row[1], row[2]) for row in await cursor.fetchall()]
        cursor = await conn.execute("select causation::text from events order by version")
        effects = [history.sent["a"].index(row[0]) + 1 for row in await cursor.fetchall()]
    passed = trace.passed()
    seen: Sequence[int] = []

    async def are_all_seen() -> bool:
        nonlocal seen
        seen = [*seen, *await shown(trace.settings)]
        return set(seen) == set(range(1, len(effects) + 1))

    await eventually(are_all_seen, "all events are seen")
    return Recording(passed, commits, effects, list(dict.fromkeys(seen)))
