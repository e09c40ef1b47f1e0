"""The parts' logs: one file each in `<directory>/logs`."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Mapping
from pathlib import Path

# A log larger than this is set aside at the next start (one generation is kept).
ROTATE_AT_BYTES = 20 * 1024 * 1024

_LOOK_AGAIN_S = 0.2


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


def follow_logs(paths: Mapping[str, Path], count: int, *, follow: bool) -> Iterator[tuple[str, str]]:
    """The last `count` lines of each log as (name, line); with `follow`, then every further one, for ever.

    A log that is set aside or begun anew is followed on from its new beginning.
    """
    for name, path in paths.items():
        yield from ((name, line) for line in last_lines(path, count))
    read = {name: _size(path) for name, path in paths.items()}
    rest = dict.fromkeys(paths, "")
    while follow:
        time.sleep(_LOOK_AGAIN_S)
        for name, path in paths.items():
            size = _size(path)
            if size < read[name]:
                read[name], rest[name] = 0, ""
            if size == read[name]:
                continue
            with path.open("rb") as log:
                log.seek(read[name])
                more = log.read()
            read[name] += len(more)
            *lines, rest[name] = (rest[name] + more.decode(errors="replace")).split("\n")
            yield from ((name, line) for line in lines)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
