"""What two projectors and a rebuild of one projection were seen doing, replayed on the model of projection."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from specs.replay import LARGEST_IN_A_SET, Passed, is_possible

POINTS = ("before_checkpoint", "after_checkpoint", "killed")
REBUILD, SWITCHED = 2, 3  # besides the projectors, 0 and 1


@dataclass(frozen=True)
class Move:
    """A transaction that moved a checkpoint.

    Attributes:
        process: whose: 0, 1, or `REBUILD`.
        generation: 1, 2, …: whose checkpoint.
        start: where the checkpoint was.
        end: where it was then.
        applied: the positions of the events applied in the same transaction.
    """

    process: int
    generation: int
    start: int
    end: int
    applied: Collection[int]


@dataclass(frozen=True)
class Switch:
    """From now on the other generation served."""


@dataclass(frozen=True)
class Recording:
    """What was seen.

    Attributes:
        passed: the points of the projectors, and `killed` where one, or a rebuild, was, in one order.
        moves: in order.
        stored: the positions of all events, in the end.
    """

    passed: Sequence[Passed]
    moves: Sequence[Move | Switch]
    stored: Collection[int]


def accepts(recording: Recording) -> bool:
    """Whether the model can do what was recorded.

    Raises:
        CheckFailed: if a tool is missing, or the model is wrong.
    """
    assert max(recording.stored) <= LARGEST_IN_A_SET
    moves = [Move(SWITCHED, 1, 0, 0, ()) if isinstance(each, Switch) else each for each in recording.moves]
    is_each_applied_once = all(len(move.applied) == len(set(move.applied)) for move in moves)
    return is_each_applied_once and is_possible(
        "projection_replay",
        POINTS,
        recording.passed,
        {"EVENTS": max(recording.stored), "MOVES": len(moves), "STORED": _set(recording.stored)},
        {
            "MOVERS": [move.process for move in moves],
            "MOVED": [move.generation - 1 for move in moves],
            "MOVED_FROM": [move.start for move in moves],
            "MOVED_TO": [move.end for move in moves],
            "MOVED_WITH": [_set(move.applied) for move in moves],
        },
    )


def _set(positions: Collection[int]) -> int:
    return sum(1 << position for position in positions)
