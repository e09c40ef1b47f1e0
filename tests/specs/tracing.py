"""Traces of real workers: the points that they pass, and what the store saw them do."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aio_pika
import psutil

from datapunk.settings import Settings
from datapunk.store.connection import connect
from datapunk.worker import prepare
from specs.replay import Passed
from tests.chaos.history import EVENTS
from tests.specs.journal import journaling
from tests.working import eventually, worker_process


@dataclass(frozen=True)
class Trace:
    """What is written down of the processes that a test starts.

    The points are in the order in which they were passed: each is appended to one file, by one write.
    """

    settings: Settings
    file: Path

    @classmethod
    async def begin(cls, settings: Settings, file: Path) -> Trace:
        """Prepare the servers, and the store to write down what it sees."""
        await prepare([journaling], settings)
        async with await connect(settings.database_url) as conn:
            await conn.execute(Path(__file__).with_name("trace.sql").read_bytes())
        return cls(settings, file)

    @asynccontextmanager
    async def worker(
        self,
        process: int,
        *,
        crash_at: str | None = None,
        freeze_at: str | None = None,
        main: str = "tests.specs.traced_main",
    ) -> AsyncGenerator[asyncio.subprocess.Process]:
        """A worker that kills, or freezes, itself at a point, as in `before_commit:2` for the second time."""
        arguments = [str(self.file), str(process), freeze_at or ""]
        async with worker_process(self.settings, crash_at=crash_at, main=main, arguments=arguments) as worker:
            yield worker

    async def killed(self, process: int, worker: asyncio.subprocess.Process) -> None:
        """Wait until a worker has killed itself, and write it down."""
        assert await asyncio.wait_for(worker.wait(), 60) == -signal.SIGKILL
        self.note(process, "killed")

    def note(self, process: int, point: str) -> None:
        """Write down what is done to a process."""
        with self.file.open("a") as file:
            file.write(f"{process} {point}\n")

    def passed(self) -> list[Passed]:
        """So far."""
        lines = self.file.read_text().splitlines() if self.file.exists() else []
        return [Passed(int(line.split()[0]), line.split()[1]) for line in lines]

    async def until_passed(self, process: int, point: str, times: int = 1) -> None:
        """Wait until a process has passed a point."""

        async def has_passed() -> bool:
            return self.passed().count(Passed(process, point)) >= times

        await eventually(has_passed, f"{process} passes {point} {times} times")


async def until_frozen(process: asyncio.subprocess.Process) -> None:
    """Wait until a process stands still."""

    async def is_frozen() -> bool:
        return psutil.Process(process.pid).status() == psutil.STATUS_STOPPED

    await eventually(is_frozen, "it's frozen")


async def shown(settings: Settings) -> Sequence[int]:
    """The versions that a `History` saw, until it has seen all of them and no more come."""
    versions: list[int] = []
    async with await aio_pika.connect(settings.broker_url) as connection:
        channel = await connection.channel()
        queue = await channel.get_queue(EVENTS, ensure=False)

        async def is_empty() -> bool:
            message = await queue.get(no_ack=True, fail=False)
            if message is not None:
                versions.append(int(str(message.headers["version"])))
            return message is None

        await eventually(is_empty, "all events are taken")
    return versions
