"""What a topic is to all who write and read it."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["Topic", "stream_of"]


class Topic(NamedTuple):
    """What all must know of a topic."""

    partitions: int
    key_header: str | None
    """The header that is the key of what comes from elsewhere; None: the routing key."""


def stream_of(topic: str, partition: int) -> str:
    """The stream behind a partition. The numbers sort as text, since a restarted broker binds in this order."""
    return f"{topic}.{partition:04d}"
