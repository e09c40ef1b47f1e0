"""An app that counts events by key in a table, and writes down what it owns and does; run as a program, a worker."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import faust

PARTITIONS = 8
EVENTS, COUNTS = "events", "counts"


def counting_app(broker: str, name: str = "counting", log: Path | None = None, **settings: Any) -> faust.App:
    """An app that counts.

    Args:
        broker: the transport's URL.
        name: the app's id.
        log: where it writes down what happens, a line each.
        settings: further ones of Faust's.
    """
    app = faust.App(
        name,
        broker=broker,
        store="memory://",
        web_enabled=False,
        topic_partitions=PARTITIONS,
        key_serializer="raw",
        value_serializer="json",
        **{"broker_commit_interval": 0.3, "stream_recovery_delay": 0.0, **settings},
    )
    events = app.topic(EVENTS, key_type=bytes, partitions=PARTITIONS)
    counts = app.Table(COUNTS, default=int, partitions=PARTITIONS, key_type=str, value_type=int)
    sink = None if log is None else os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def note(what: str, **more: Any) -> None:
        if sink is not None:
            line = {"at": time.monotonic(), "worker": os.getpid(), "what": what, **more}
            os.write(sink, json.dumps(line).encode() + b"\n")

    @app.agent(events)
    async def count(stream: faust.StreamT[Any]) -> None:
        async for event in stream.events():
            note("event", partition=event.message.partition, offset=event.message.offset)
            counts[event.key.decode()] += 1

    @app.on_partitions_assigned.connect
    async def assigned(sender: Any, tps: set[Any], **_: Any) -> None:
        note("assigned", partitions=sorted(tp.partition for tp in tps if tp.topic == EVENTS))

    @app.on_partitions_revoked.connect
    async def revoked(sender: Any, tps: set[Any], **_: Any) -> None:
        note("revoked")

    @app.on_before_shutdown.connect  # when all that was begun is done, and before others get the partitions
    async def stopping(sender: Any, **_: Any) -> None:
        note("revoked")

    app.conf.kept = (assigned, revoked, stopping)  # signals hold their receivers weakly
    return app


if __name__ == "__main__":
    worker = faust.Worker(
        counting_app(os.environ["BROKER"], log=Path(os.environ["LOG"])), loglevel=os.environ.get("LOGLEVEL", "WARNING")
    )
    worker.execute_from_commandline()
