"""Workers that may be killed, frozen and cut off at any moment, and are always two again."""

from __future__ import annotations

import asyncio
import random
import signal
from contextlib import AsyncExitStack, suppress
from types import TracebackType

from datapunk.settings import Settings
from tests.chaos.toxiproxy import CUTS, SLOWNESS, Line
from tests.management import Management
from tests.own_stack import Place
from tests.working import worker_process

SIZE = 2
SLOW_S = 3.0
FROZEN_S = 3.0  # longer than others wait before they count a silent member as dead


class Fleet:
    """Use as an async context manager.

    Args:
        place: the servers; they come back by themselves.
        settings: the workers'.
        lines: their ways to the servers, by the setting that names the server.
        chance: decides what happens, and to whom.
    """

    def __init__(self, place: Place, settings: Settings, lines: dict[str, Line], chance: random.Random) -> None:
        self._place = place
        self._settings = settings.model_copy(update={server: line.url for server, line in lines.items()})
        self._management = Management.of(settings.broker_url)
        self._lines = list(lines.values())
        self._chance = chance
        self._stack = AsyncExitStack()
        self._workers: list[asyncio.subprocess.Process] = []

    async def __aenter__(self) -> Fleet:
        await self._stack.__aenter__()
        await self._fill()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.__aexit__(kind, error, trace)

    async def accident(self) -> str:
        """Something bad happens; when this returns, all that was stopped has been started again.

        Returns:
            What it was.
        """
        accidents = {
            "a worker is killed": self._kill,
            "a worker freezes": self._freeze,
            "the broker closes all connections": self._close_all,
            "Postgres is killed": self._kill_postgres,
            "RabbitMQ is killed": self._kill_rabbitmq,
            "connections are cut in mid-frame": self._cut,
            "the network is slow": self._slow_down,
        }
        what = self._chance.choice(list(accidents))
        await accidents[what]()
        await self._fill()
        return what

    async def _kill(self) -> None:
        worker = self._chance.choice(self._workers)
        with suppress(ProcessLookupError):
            worker.kill()
        await worker.wait()

    async def _freeze(self) -> None:
        worker = self._chance.choice(self._workers)
        with suppress(ProcessLookupError):  # one that just started may have found no server, and have ended
            worker.send_signal(signal.SIGSTOP)
            await asyncio.sleep(FROZEN_S)  # the accident itself
            worker.send_signal(signal.SIGCONT)

    async def _close_all(self) -> None:
        """All connections to the broker at once, the clients' as well."""
        await asyncio.to_thread(self._management.kill_all_connections)

    async def _cut(self) -> None:
        await self._chance.choice(self._lines).cut(self._chance.choice(CUTS))

    async def _slow_down(self) -> None:
        async with self._chance.choice(self._lines).being(SLOWNESS):
            await asyncio.sleep(SLOW_S)  # the accident itself

    async def _kill_postgres(self) -> None:
        await asyncio.to_thread(self._place.kill, "postgres")

    async def _kill_rabbitmq(self) -> None:
        await asyncio.to_thread(self._place.kill, "rabbitmq")

    async def _fill(self) -> None:
        self._workers = [worker for worker in self._workers if worker.returncode is None]
        while len(self._workers) < SIZE:
            self._workers.append(await self._stack.enter_async_context(worker_process(self._settings)))
