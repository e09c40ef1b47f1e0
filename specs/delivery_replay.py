"""What one shard and one actor were seen doing, replayed on the model of delivery."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from specs.replay import Passed, is_possible

POINTS = ("before_commit", "after_commit", "after_publish", "after_confirm", "before_ack", "killed")
MOST_COMMANDS = 14  # the model's sets of events are 32 bits wide


@dataclass(frozen=True)
class Recording:
    """What was seen; commands are numbered as they were sent, events by version.

    Attributes:
        queue: the commands as the queue got them, with those sent again.
        points: what the engine told its hook, in order, and `killed` where its process was.
        commits: the last event of each transaction.
        shown: the events that a subscriber saw, in order, with those seen again.
    """

    queue: Sequence[int]
    points: Sequence[str]
    commits: Sequence[int]
    shown: Sequence[int]


def accepts(recording: Recording) -> bool:
    """Whether the model can do what was recorded.

    Raises:
        CheckFailed: if a tool is missing, or the model is wrong.
    """
    commands = max(recording.queue)
    assert commands <= MOST_COMMANDS
    return is_possible(
        "delivery_replay",
        POINTS,
        [Passed(0, point) for point in recording.points],
        {
            "COMMANDS": commands,
            "AGAIN": len(recording.queue) - commands,
            "BREAKS": recording.points.count("killed"),
            "IN_FLIGHT": 6,
            "COMMITS": len(recording.commits),
            "SIGHTS": len(recording.shown),
        },
        {"QUEUE": recording.queue, "COMMITTED": recording.commits, "SHOWN": recording.shown},
    )
