"""Ours: commands consumed → decided → durable → events published with confirms → acknowledged, one process.

A contestant of `test_end_to_end.py`; alone: `python -m tests.bench.engine 20000` with servers in the settings.
"""

from __future__ import annotations

import asyncio
import time

import uvloop
from prometheus_client import REGISTRY

from datapunk.garbage import collect_rarely
from datapunk.settings import load_settings
from datapunk.worker import Worker, prepare
from tests.bench.contest import show, wanted
from tests.bench.filling import fill
from tests.bench.trips.module import trips

HANDLED = ("commands_handled_total", {"module": "trips", "type": "trips.RecordTrip", "outcome": "accepted"})


async def measure(commands: int) -> float:
    """Seconds from the start of the worker to the last batch's acknowledgement."""
    settings = load_settings()
    await prepare([trips], settings)
    await fill(settings, commands)
    stop, done = asyncio.Event(), asyncio.Event()
    batches = 0

    def at(point: str) -> None:
        nonlocal batches
        if point == "before_ack":
            batches += 1
            if batches * settings.batch_commands >= commands and REGISTRY.get_sample_value(*HANDLED) == commands:
                done.set()

    began = time.perf_counter()
    running = asyncio.create_task(Worker([trips], settings, at).run(stop))
    await done.wait()
    took_s = time.perf_counter() - began
    stop.set()
    await running
    return took_s


if __name__ == "__main__":
    collect_rarely()  # as `datapunk run` does
    show(uvloop.run(measure(wanted())))
