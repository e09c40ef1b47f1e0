"""Points that the engine passes, told to whoever listens: tests write them down, and kill or freeze a process there.

A command's batch passes `before_commit`, `after_commit`, `after_publish`, `after_confirm`, `before_ack`; the ownership
of shards `epoch_begun`, `after_recovery`, `handing_over`, `handed_over`, `session_ended`; a projection's batch
`before_checkpoint`, `after_checkpoint`. What the models in specs/ make of them: docs/explanation/model.md.
"""

from __future__ import annotations

from collections.abc import Callable

Hook = Callable[[str], None]


def nowhere(point: str) -> None:
    """Nobody listens."""


def once_at(wanted: str, act: Callable[[], None]) -> Hook:
    """Act at a point.

    Args:
        wanted: `<point>`, or `<point>:<n>` for the n-th time that it's passed.
        act: what to do.
    """
    point, _, nth = wanted.partition(":")
    left = int(nth or 1)

    def look(here: str) -> None:
        nonlocal left
        if here == point:
            left -= 1
            if left == 0:
                act()

    return look
