"""What the contestants share: the message, how many, and how they tell how fast they were."""

from __future__ import annotations

import json
import sys

BODY = (
    b'{"trip":"t-1","carrier":"UA","origin":"EWR","dest":"IAH","delay":11.5,"distance":1400,'
    b'"cancelled":false,"tail":{"string":"N14228"}}'
)
ACTORS = 1000
EVENTS_QUEUE = "bench.events"  # a durable subscriber's, so that every event has somewhere to go
EVENTS_TABLE = """
create table events (
    position bigint generated always as identity primary key,
    stream text not null, type text not null, id uuid not null, data jsonb not null
)
"""
INSERT_EVENT = "insert into events (stream, type, id, data) values (%s, %s, %s, %s)"


def wanted() -> int:
    """How many commands the command line asks for."""
    return int(sys.argv[1]) if len(sys.argv) > 1 else 20_000


def show(took_s: float) -> None:
    """Print the result for whoever runs the contest: that all commands took so long."""
    show_rates(commands=wanted() / took_s)


def show_rates(**rates: float) -> None:
    """Print the result for whoever runs the contest.

    Args:
        rates: what was counted, and how many of it there were a second.
    """
    print(json.dumps(rates))


def read(output: str) -> dict[str, float]:
    """The rates that a contestant printed last."""
    return json.loads(output.strip().splitlines()[-1])
