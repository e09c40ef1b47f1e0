"""What the contestants share: the message, how many, and how they tell what they took."""

from __future__ import annotations

import json
import sys

BODY = (
    b'{"trip":"t-1","carrier":"UA","origin":"EWR","dest":"IAH","delay":11.5,"distance":1400,'
    b'"cancelled":false,"tail":{"string":"N14228"}}'
)
ACTORS = 1000
EVENTS_QUEUE = "bench.events"  # a durable subscriber's, so that every event has somewhere to go


def wanted() -> int:
    """How many commands the command line asks for."""
    return int(sys.argv[1]) if len(sys.argv) > 1 else 20_000


def show(took_s: float) -> None:
    """Print the result for whoever runs the contest."""
    print(json.dumps({"commands": wanted(), "took_s": took_s}))


def read(output: str) -> float:
    """Commands a second, from what a contestant printed last."""
    result = json.loads(output.strip().splitlines()[-1])
    return result["commands"] / result["took_s"]
