"""Times as numbers of µs since 1970, and back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


def microseconds(time: datetime) -> int:
    """A time as µs since 1970."""
    return (time - EPOCH) // MICROSECOND


def instant(microseconds: int) -> datetime:
    """A time from µs since 1970, in UTC."""
    return EPOCH + timedelta(microseconds=microseconds)
