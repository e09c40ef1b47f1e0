"""From publish to reply at a steady rate: a client in this process, the worker in another.

A contestant of `test_latency.py`; alone: `python -m tests.bench.latency 1000` with servers in the settings.
"""

from __future__ import annotations

import asyncio
import json
import time

import uvloop

from datapunk.client import Client
from datapunk.settings import Settings, load_settings
from datapunk.worker import prepare
from tests.bench.contest import ACTORS, wanted
from tests.bench.trips.commands import RecordTrip
from tests.bench.trips.module import trips
from tests.bench.worker import WORKER
from tests.working import worker_process

RATE = 100  # commands a second
WARM_UP = 100  # commands not counted
TRIP = RecordTrip(
    trip="t-1",
    carrier="UA",
    origin="EWR",
    dest="IAH",
    delay=11.5,
    distance=1400,
    cancelled=False,
    tail="N14228",
)


async def measure(settings: Settings, commands: int) -> list[float]:
    """Milliseconds from just before the publish to the outcome, one a command, sorted."""
    registry, _ = await prepare([trips], settings)
    took_ms: list[float] = []

    async def send(client: Client, number: int) -> None:
        began = time.perf_counter()
        await client.send(TRIP, f"a{number % ACTORS}")
        if number >= WARM_UP:
            took_ms.append((time.perf_counter() - began) * 1000)

    async with worker_process(settings, main=WORKER, arguments=["trips"]), Client(settings, registry) as client:
        await client.send(TRIP, "first")
        due = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            for number in range(commands + WARM_UP):
                # By the clock, whether or not the last one is back: waiting for it would hide what is slow.
                due += 1 / RATE
                await asyncio.sleep(max(0.0, due - time.perf_counter()))
                group.create_task(send(client, number))
    return sorted(took_ms)


if __name__ == "__main__":
    print(json.dumps(uvloop.run(measure(load_settings(), wanted()))))
