"""The parts' logs: one file each in `<directory>/logs`."""

from __future__ import annotations

from collections import deque
from pathlib import Path

# A log larger than this is set aside at the next start (one generation is kept).
ROTATE_AT_BYTES = 20 * 1024 * 1024


def log_path(directory: Path, name: str) -> Path:
    """The log of the part called `name`."""
    return directory / "logs" / f"{name}.log"


def open_log(directory: Path, name: str) -> Path:
    """The log's path, made ready to be appended to."""
    path = log_path(directory, name)
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists() and path.stat().st_size > ROTATE_AT_BYTES:
        path.replace(path.with_suffix(".log.1"))
    return path


def last_lines(path: Path, count: int) -> list[str]:
    """The last `count` lines of a log; none when it isn't there."""
    try:
        with path.open(errors="replace") as lines:
            return [line.rstrip("\n") for line in deque(lines, maxlen=count)]
    except FileNotFoundError:
        return []
