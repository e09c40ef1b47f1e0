"""Projectors and rebuilds do nothing that the model can't do: what they did under kills and freezes is replayed."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from psycopg import AsyncConnection

from datapunk.settings import Settings
from datapunk.store.append import append
from datapunk.store.connection import connect
from specs.projection_replay import REBUILD, Move, Recording, Switch, accepts
from specs.replay import Passed
from tests.events import deposits
from tests.projecting import until_applied
from tests.specs.tracing import Trace, until_frozen

A, B = 0, 1
JOURNAL = "accounts.journal"


async def test_the_model_can_do_what_projectors_and_rebuilds_did(
    settings: Settings, connection: AsyncConnection[Any], tmp_path: Path
) -> None:
    trace = await Trace.begin(settings, tmp_path / "trace")
    await append(connection, deposits(1))
    async with await connect(settings.database_url) as slow:
        await slow.execute("begin")
        await append(slow, deposits(1, account="slow"))
        await append(connection, deposits(1, first=2))  # it's behind an open transaction
        async with trace.worker(A, freeze_at="before_checkpoint:2") as zombie:
            await trace.until_passed(A, "after_checkpoint")
            await slow.execute("commit")
            await until_frozen(zombie)
            async with trace.worker(B, crash_at="before_checkpoint:2") as heir:
                await trace.until_passed(B, "after_checkpoint")
                await append(connection, deposits(1, first=3))
                await trace.killed(B, heir)
            zombie.send_signal(signal.SIGCONT)
            await until_applied(connection, 4, JOURNAL)
            async with trace.worker(REBUILD, crash_at="filled", main="tests.specs.rebuild_main") as doomed:
                await trace.killed(REBUILD, doomed)
            async with trace.worker(REBUILD, freeze_at="filled", main="tests.specs.rebuild_main") as rebuilding:
                await until_frozen(rebuilding)
                await append(connection, deposits(1, first=4))
                rebuilding.send_signal(signal.SIGCONT)
                assert await asyncio.wait_for(rebuilding.wait(), 60) == 0
            await append(connection, deposits(1, first=5))
            await until_applied(connection, 6, JOURNAL)
            zombie.terminate()
            assert await asyncio.wait_for(zombie.wait(), 60) == 0
    recording = await _recording(trace, connection)
    assert {each.process for each in recording.moves if isinstance(each, Move)} == {A, B, REBUILD}
    assert Switch() in recording.moves
    assert accepts(recording), recording
    assert not accepts(_with_last_move(recording, end=5)), "the checkpoint is behind what is applied"


def _points(text: str) -> list[Passed]:
    """Points of A, B and the rebuild, R: `A:batch` stands for both of a batch."""
    passed: list[Passed] = []
    for word in text.split():
        process, _, point = word.partition(":")
        points = ("before_checkpoint", "after_checkpoint") if point == "batch" else (point,)
        passed += [Passed("ABR".index(process), each) for each in points]
    return passed


SWITCHED = Recording(
    passed=_points("A:batch A:before_checkpoint B:batch A:batch R:killed A:batch"),
    moves=[
        Move(A, 1, 0, 1, [1]),
        Move(B, 1, 1, 3, [2, 3]),
        Move(A, 1, 3, 4, [4]),
        Move(REBUILD, 2, 0, 4, [1, 2, 3, 4]),
        Move(REBUILD, 2, 0, 4, [1, 2, 3, 4]),
        Switch(),
        Move(A, 2, 4, 5, [5]),
    ],
    stored=[1, 2, 3, 4, 5],
)


def _with(which: int, *moves: Move | Switch) -> Recording:
    """With one of the moves replaced."""
    changed = list(SWITCHED.moves)
    changed[which : which + 1] = moves
    return replace(SWITCHED, moves=changed)


@pytest.mark.parametrize(
    ("wrong", "is_accepted"),
    [
        (SWITCHED, True),
        (_with(2, Move(A, 1, 3, 2, [])), False),
        (_with(1, Move(B, 1, 0, 3, [1, 2, 3])), False),
        (_with(1, Move(B, 1, 1, 1, [2, 3]), Move(B, 1, 1, 3, [])), False),
        (_with(1, Move(B, 1, 1, 3, [2, 2, 3])), False),
        (_with(1, Move(B, 1, 1, 3, [3])), False),
        (_with(2, Move(B, 1, 3, 4, [4])), False),
        (_with(3, Move(REBUILD, 2, 0, 3, [1, 2, 3]), Switch(), Move(A, 1, 3, 4, [4])), False),
        (_with(4, Move(REBUILD, 2, 0, 3, [1, 2, 3])), False),
        (_with(6, Move(A, 1, 4, 5, [5])), False),
        (replace(SWITCHED, passed=_points("A:batch B:after_checkpoint B:before_checkpoint A:batch A:batch")), False),
    ],
    ids=[
        "right",
        "a checkpoint goes back",
        "applied twice (UNCONDITIONAL_CHECKPOINT)",
        "applied in another transaction than the checkpoint's (CHECKPOINT_APART)",
        "applied twice in one transaction",
        "an event skipped (PAST_OPEN_TRANSACTION, BOUNDS_BEFORE_HIGHEST)",
        "moved by who passed no point",
        "moved while it's switched (SWITCHED_WITHOUT_LOCK)",
        "switched to what is behind (STALE_TARGET, CHECKPOINT_NOT_READ_AGAIN)",
        "moved what doesn't serve any more",
        "told before it's done",
    ],
)
def test_the_model_can_not_do_what_would_be_wrong(wrong: Recording, is_accepted: bool) -> None:
    assert accepts(wrong) == is_accepted


def _with_last_move(recording: Recording, *, end: int) -> Recording:
    *others, last = recording.moves
    assert isinstance(last, Move)
    return replace(recording, moves=[*others, replace(last, end=end)])


async def _recording(trace: Trace, conn: AsyncConnection[Any]) -> Recording:
    """What was seen; who applied events without moving the checkpoint has moved it nowhere."""
    cursor = await conn.execute(
        "select xid::text, process, what, numbers from trace where what <> 'fenced' order by id"
    )
    moves: list[Move | Switch] = []
    last: dict[str, int] = {}  # move of each transaction
    for xid, process, what, numbers in await cursor.fetchall():
        if what == "switched":
            moves.append(Switch())
            continue
        if what == "moved" or xid not in last:
            last[xid] = len(moves)
            moves.append(Move(int(process), *(numbers if what == "moved" else (1, 0, 0)), applied=[]))
        if what == "applied":
            move = moves[last[xid]]
            assert isinstance(move, Move)
            moves[last[xid]] = replace(move, applied=[*move.applied, *numbers])
    cursor = await conn.execute("select position from events")
    stored: Sequence[int] = [row[0] for row in await cursor.fetchall()]
    return Recording(trace.passed(), moves, stored)
