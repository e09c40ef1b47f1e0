"""Who did something to dead letters, and why: kept with it, so within bounds."""

from __future__ import annotations

from datapunk import Rejected

MAX_BY = 200  # characters
MAX_WHY = 2_000  # characters


def check_who(by: str, why: str) -> None:
    """Reject what is too long for a history."""
    if len(by) > MAX_BY or len(why) > MAX_WHY:
        raise Rejected("too_long", f"`by` has at most {MAX_BY} characters, and `why` {MAX_WHY:,}")
