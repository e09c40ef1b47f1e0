"""Durations as people write them, such as 90s, 1h30m or 7d."""

from __future__ import annotations

import re

DURATION_IS = "a duration: numbers with units, such as 500ms, 90s, 1h30m or 7d"
UNITS = {"ms": 1_000, "s": 1_000_000, "m": 60_000_000, "h": 3_600_000_000, "d": 86_400_000_000}  # µs
PART = re.compile(r"([0-9]+)(ms|s|m|h|d)")
LONGEST = 3650 * UNITS["d"]


def duration(text: str) -> int:
    """A duration in µs; a day has 24 hours.

    Raises:
        ValueError: if it's longer than ten years.
    """
    total = sum(int(number) * UNITS[unit] for number, unit in PART.findall(text))
    if total > LONGEST:
        raise ValueError("this is longer than ten years")
    return total
