"""What may be ordered of bulk work on dead letters, and when."""

from __future__ import annotations

from typing import Any

import pytest

from actors.nexus.bulk import Bulk
from datapunk.messages.message import Command
from datapunk.testing import given
from schemas.nexus.commands import CancelBulk, CompleteBulk, PauseBulk, RecordBulkProgress, ResumeBulk, StartBulk
from schemas.nexus.events import (
    BulkCancelled,
    BulkCompleted,
    BulkPaused,
    BulkProgressed,
    BulkResumed,
    BulkStarted,
)
from schemas.nexus.types import BulkAct, DeadLetterFilter, DeadLetterState

LAKES = DeadLetterFilter(module="lake")
START = StartBulk(act=BulkAct.Redrive, filter=LAKES, rate=2.5, by="ada", why="mended")
STARTED = BulkStarted(act=BulkAct.Redrive, filter=LAKES, rate=2.5, by="ada", why="mended")
PAUSED, CANCELLED = BulkPaused(by="ada"), BulkCancelled(by="ada")
COMPLETED = BulkCompleted(total=3, done=2, refused=1)


def test_it_is_started_once() -> None:
    given(Bulk).when(START).then(STARTED)
    given(Bulk, STARTED).when(START).rejects("bulk_exists")


@pytest.mark.parametrize(
    ("filter", "code"),
    [
        (DeadLetterFilter(), "filter_empty"),
        (DeadLetterFilter(state=DeadLetterState.Resolved), "state_invalid"),
        (DeadLetterFilter(text="x" * 256), "too_long"),
    ],
)
def test_nobody_may_mean_all_letters_by_mistake_nor_those_that_are_done_with(
    filter: DeadLetterFilter, code: str
) -> None:
    given(Bulk).when(StartBulk(act=BulkAct.Discard, filter=filter)).rejects(code)


@pytest.mark.parametrize("rate", [0.0, -1.0, float("inf"), float("nan")])
def test_a_rate_is_above_nothing(rate: float) -> None:
    given(Bulk).when(StartBulk(act=BulkAct.Redrive, filter=LAKES, rate=rate)).rejects("rate_invalid")


def test_it_rests_while_it_is_paused() -> None:
    given(Bulk, STARTED).when(PauseBulk(by="ada")).then(PAUSED)
    given(Bulk, STARTED, PAUSED).when(PauseBulk(by="bob")).then()
    given(Bulk, STARTED, PAUSED).when(ResumeBulk(by="bob")).then(BulkResumed(by="bob"))
    given(Bulk, STARTED).when(ResumeBulk()).then()


def test_what_was_under_way_when_it_was_cancelled_still_counts() -> None:
    given(Bulk, STARTED).when(CancelBulk(by="ada")).then(CANCELLED)
    progress = RecordBulkProgress(total=3, done=2, refused=0)
    given(Bulk, STARTED, CANCELLED).when(progress).then(BulkProgressed(total=3, done=2, refused=0))
    given(Bulk, STARTED, COMPLETED).when(progress).rejects("bulk_over")


def test_it_is_completed_by_its_workflow() -> None:
    given(Bulk, STARTED).when(CompleteBulk(total=3, done=2, refused=1)).then(COMPLETED)


@pytest.mark.parametrize("command", [PauseBulk(), ResumeBulk(), CancelBulk(), CompleteBulk(total=0, done=0, refused=0)])
@pytest.mark.parametrize(
    ("history", "code"),
    [((), "bulk_unknown"), ((STARTED, CANCELLED), "bulk_over"), ((STARTED, COMPLETED), "bulk_over")],
)
def test_nothing_is_done_to_what_is_not_there_or_over(history: tuple[Any, ...], code: str, command: Command) -> None:
    given(Bulk, *history).when(command).rejects(code)
