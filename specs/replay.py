"""Replays what the engine was seen doing on a model, so that code and model can't drift apart.

The recording becomes a header of the model's driver, `<model>_replay.pml`, which takes the model's own steps only, and
only those that fit the recording. Spin looks for a run that matches all of it.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from specs.check import SPECS, broken_promise, explore

LARGEST_IN_A_SET = 7  # the models' sets of commands, events and positions are 8 bits wide, from bit 1


@dataclass(frozen=True)
class Passed:
    """A point that a process passed: what the engine told its hook, or what the test did to the process.

    Attributes:
        process: 0 or 1, …: which one in the model.
        point: its name.
    """

    process: int
    point: str


def is_possible(
    driver: str,
    known: Sequence[str],
    passed: Sequence[Passed],
    numbers: Mapping[str, int],
    lists: Mapping[str, Sequence[int]],
) -> bool:
    """Whether the model can do what was recorded.

    Args:
        driver: its file, as in `delivery_replay`.
        known: the points that the driver knows; others are left out.
        passed: in the order in which they were passed.
        numbers: the driver's sizes.
        lists: what else was seen, as the driver names it. Each has a 0 at its end there, so that none is empty.

    Raises:
        CheckFailed: if a tool is missing, or the model is wrong.
    """
    passed = [each for each in passed if each.point in known]
    defined: dict[str, object] = {point.upper(): number for number, point in enumerate(known, 1)}
    defined |= {**numbers, "POINTS": len(passed)}
    lists = {
        **lists,
        "PASSED": [known.index(each.point) + 1 for each in passed],
        "PASSED_BY": [each.process for each in passed],
    }
    defined |= {name: "{ " + ", ".join(map(str, [*values, 0])) + " }" for name, values in lists.items()}
    with tempfile.TemporaryDirectory(prefix="recording-") as directory:
        data = Path(directory) / "recording.pml"
        data.write_text("".join(f"#define {name} {value}\n" for name, value in defined.items()))
        return broken_promise(explore(SPECS / f"{driver}.pml", beside=[data])) == "is_impossible"
