"""Workers as processes of their own, that can be killed; and what they wrote down."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from counting import EVENTS, PARTITIONS, counting_app

T = TypeVar("T")
DEADLINE_S = 60.0


async def eventually(look: Callable[[], Awaitable[T | None] | T | None], what: str) -> T:
    """Wait until `look` finds something true."""
    until = time.monotonic() + DEADLINE_S
    while True:
        found: Any = look()
        if asyncio.iscoroutine(found):
            found = await found
        if found:
            return found
        assert time.monotonic() < until, f"{what}: not within {DEADLINE_S:g} s"
        await asyncio.sleep(0.05)


@dataclass
class Crew:
    """Some workers of one app, and the log that they share."""

    broker: str
    log: Path
    processes: list[asyncio.subprocess.Process] = field(default_factory=list)
    ended: dict[int, float] = field(default_factory=dict)

    async def start(self) -> asyncio.subprocess.Process:
        """One more worker."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "counting",
            env={**os.environ, "BROKER": self.broker, "LOG": str(self.log), "PYTHONPATH": str(Path(__file__).parent)},
        )
        self.processes.append(process)
        return process

    async def kill(self, process: asyncio.subprocess.Process) -> None:
        """kill -9."""
        process.kill()
        await process.wait()
        self.ended[process.pid] = time.monotonic()

    async def stop(self, process: asyncio.subprocess.Process) -> None:
        """Let it end in order."""
        process.terminate()
        await process.wait()
        self.ended[process.pid] = time.monotonic()

    def lines(self) -> list[dict[str, Any]]:
        """What was written down."""
        return [json.loads(line) for line in self.log.read_text().splitlines()] if self.log.exists() else []

    def owned_now(self) -> dict[int, set[int]]:
        """Which partitions each living worker has."""
        owned: dict[int, set[int]] = {}
        for line in self.lines():
            if line["what"] == "assigned":
                owned[line["worker"]] = set(line["partitions"])
            elif line["what"] == "revoked":
                owned[line["worker"]] = set()
        return {worker: parts for worker, parts in owned.items() if worker not in self.ended}

    async def settled(self, workers: int) -> dict[int, set[int]]:
        """Wait until this many workers have all partitions between them."""

        def look() -> dict[int, set[int]] | None:
            owned = {worker: parts for worker, parts in self.owned_now().items() if parts}
            every = [part for parts in owned.values() for part in parts]
            return owned if len(owned) == workers and sorted(every) == list(range(PARTITIONS)) else None

        return await eventually(look, f"{workers} workers share {PARTITIONS} partitions")

    def owned_twice(self) -> list[str]:
        """Every time that two workers had a partition at once."""
        spans: list[tuple[int, int, float, float]] = []  # partition, worker, from, until
        began: dict[tuple[int, int], float] = {}
        for line in self.lines():
            worker = line["worker"]
            if line["what"] not in ("assigned", "revoked"):
                continue
            for partition in range(PARTITIONS):
                if (worker, partition) in began:
                    spans.append((partition, worker, began.pop((worker, partition)), line["at"]))
            if line["what"] == "assigned":
                began.update({(worker, partition): line["at"] for partition in line["partitions"]})
        for (worker, partition), at in began.items():
            spans.append((partition, worker, at, self.ended.get(worker, time.monotonic())))
        return [
            f"partition {p}: {w} from {a:.3f} to {b:.3f}, {other} from {c:.3f} to {d:.3f}"
            for p, w, a, b in spans
            for q, other, c, d in spans
            if p == q and w < other and max(a, c) < min(b, d)
        ]

    def handled(self) -> dict[int, set[int]]:
        """The offsets that were worked on, by partition."""
        handled: dict[int, set[int]] = {partition: set() for partition in range(PARTITIONS)}
        for line in self.lines():
            if line["what"] == "event":
                handled[line["partition"]].add(line["offset"])
        return handled


@asynccontextmanager
async def crew(broker: str, log: Path) -> AsyncIterator[Crew]:
    """Workers that are gone at the end."""
    workers = Crew(broker, log)
    try:
        yield workers
    finally:
        for process in workers.processes:
            if process.returncode is None:
                await workers.kill(process)


@asynccontextmanager
async def sending(broker: str) -> AsyncIterator[Callable[..., Awaitable[None]]]:
    """A way to send events, by an app that reads none."""
    app = counting_app(broker)
    app.producer_only = True
    await app.producer.start()
    topic = app.topic(EVENTS, key_type=bytes, partitions=PARTITIONS)
    await topic.declare()

    async def send(keys: list[str]) -> None:
        for key in keys:
            await topic.send(key=key.encode(), value=1)
        await app.producer.flush()

    try:
        yield send
    finally:
        await app.producer.stop()


@asynccontextmanager
async def running(app: Any) -> AsyncIterator[None]:
    """An app at work in this process, its tables recovered."""
    await app.start()
    try:
        await eventually(lambda: app.tables.recovery.completed.is_set() and not app.rebalancing, "the app is ready")
        yield
    finally:
        await app.stop()
