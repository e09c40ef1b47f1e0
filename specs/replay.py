"""Replays what the engine was seen doing on the model of delivery, so that code and model can't drift apart.

The recording becomes a driver of the model, and Spin looks for a run of the model that matches it.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from specs.check import SPECS, broken_promise, explore

POINTS = ("before_commit", "after_commit", "after_publish", "after_confirm", "before_ack", "killed")
MOST_COMMANDS = 14  # the model's sets of events are 32 bits wide


@dataclass(frozen=True)
class Recording:
    """What one shard and one actor were seen doing; commands are numbered as they were sent, events by version.

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
    points = [POINTS.index(point) + 1 for point in recording.points]
    lines = [
        f"#define COMMANDS {commands}",
        f"#define AGAIN {len(recording.queue) - commands}",
        f"#define BREAKS {recording.points.count('killed')}",
        "#define IN_FLIGHT 6",
        f"#define POINTS {len(points)}",
        f"#define COMMITS {len(recording.commits)}",
        f"#define SIGHTS {len(recording.shown)}",
        f"#define QUEUE {_list(recording.queue)}",
        f"#define PASSED {_list([*points, 0])}",
        f"#define COMMITTED {_list([*recording.commits, 0])}",
        f"#define SHOWN {_list([*recording.shown, 0])}",
    ]
    with tempfile.TemporaryDirectory(prefix="recording-") as directory:
        data = Path(directory) / "recording.pml"
        data.write_text("\n".join(lines) + "\n")
        return broken_promise(explore(SPECS / "replay.pml", beside=[data])) == "is_impossible"


def _list(numbers: Sequence[int]) -> str:
    return "{ " + ", ".join(map(str, numbers)) + " }"
