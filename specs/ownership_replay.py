"""What two processes that share one shard were seen doing, replayed on the model of ownership."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from specs.replay import LARGEST_IN_A_SET, Passed, is_possible

POINTS = (
    "epoch_begun",
    "after_recovery",
    "handing_over",
    "handed_over",
    "session_ended",
    "before_commit",
    "after_commit",
    "after_publish",
    "after_confirm",
    "before_ack",
    "killed",
)


@dataclass(frozen=True)
class Commit:
    """A transaction with events.

    Attributes:
        process: whose: 0 or 1.
        epoch: of the lease that it was decided under.
        last: the last of its events.
    """

    process: int
    epoch: int
    last: int


@dataclass(frozen=True)
class Recording:
    """What was seen of one actor; commands are numbered as they were sent, events by version.

    Attributes:
        passed: the points of both processes, and `killed` where one was, in one order.
        commits: in the order of their events.
        effects: the command that led to each event.
        shown: the events that a subscriber saw, in the order in which it saw each for the first time.
    """

    passed: Sequence[Passed]
    commits: Sequence[Commit]
    effects: Sequence[int]
    shown: Sequence[int]


def accepts(recording: Recording) -> bool:
    """Whether the model can do what was recorded.

    Raises:
        CheckFailed: if a tool is missing, or the model is wrong.
    """
    commands = max(recording.effects)
    assert commands <= LARGEST_IN_A_SET
    epochs = sorted({commit.epoch for commit in recording.commits})
    return len(recording.effects) == len(recording.shown) and is_possible(
        "ownership_replay",
        POINTS,
        recording.passed,
        {
            "COMMANDS": commands,
            "DEATHS": sum(each.point == "killed" for each in recording.passed),
            "COMMITS": len(recording.commits),
            "EVENTS": len(recording.effects),
        },
        {
            "COMMITTERS": [commit.process for commit in recording.commits],
            "COMMITTED": [commit.last for commit in recording.commits],
            "EPOCHS": [epochs.index(commit.epoch) + 1 for commit in recording.commits],
            "EFFECTS": recording.effects,
            "SHOWN": recording.shown,
        },
    )
