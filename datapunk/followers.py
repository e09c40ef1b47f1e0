"""What follows the event store in this process: shared out, by membership, among all that run a module."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

import psycopg

from datapunk.broker.wake import EventSignal
from datapunk.ending import end
from datapunk.errors import OwnershipLost
from datapunk.membership import Membership
from datapunk.resting import rest
from datapunk.settings import Settings
from datapunk.telemetry.logs import get_logger

RETRY_S = 1.0  # pause before followers are taken again
GRACE_S = 20.0  # for what a follower has under way when it's told to stop

log = get_logger(__name__)


class Follower(Protocol):
    """Reads events from the store in order, from a checkpoint of its own: a projector, for instance."""

    async def run(self, stop: asyncio.Event) -> None:
        """Follow until told to stop."""
        ...

    def wake(self) -> None:
        """There may be new events."""
        ...


class Followers:
    """Those of a module's followers that are this process's to run.

    Args:
        group: who shares them out, as in `lake.projections`.
        settings: of the process.
        heard: the modules whose events wake them, by name.
        makers: how to make each, by its name.
    """

    def __init__(
        self, group: str, settings: Settings, heard: Iterable[str], makers: Mapping[str, Callable[[], Follower]]
    ) -> None:
        self._group = group
        self._settings = settings
        self._heard = sorted(set(heard))
        self._makers = makers
        self._running: dict[str, tuple[Follower, asyncio.Event, asyncio.Task[None]]] = {}

    async def run(self, stop: asyncio.Event) -> None:
        """Follow membership until told to stop."""
        if not self._makers:
            return
        while not stop.is_set():
            try:
                await self._take_part(stop)
            except (OwnershipLost, psycopg.OperationalError, psycopg.InterfaceError, OSError) as error:
                log.warning("followers_lost", group=self._group, retry_in_s=RETRY_S, detail=str(error))
                await rest(RETRY_S, stop)

    async def _take_part(self, stop: asyncio.Event) -> None:
        """Be a member of those who share them, until told to stop or taken for dead."""
        async with Membership(self._settings, self._group, list(self._makers)) as membership:
            ending = asyncio.Event()
            signals = [
                asyncio.create_task(EventSignal(self._settings, module, self._wake_all).run(ending))
                for module in self._heard
            ]
            tasks: set[asyncio.Task[Any]] = {
                asyncio.create_task(stop.wait()),
                asyncio.create_task(self._follow(membership)),
            }
            try:
                done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()
            finally:
                ending.set()
                await end(tasks)
                await asyncio.gather(*signals, return_exceptions=True)
                # Those that were lost needn't finish: somebody else may begin with the same, and would win.
                grace_s = GRACE_S if stop.is_set() else 0.0
                await asyncio.gather(*(self._stop(name, grace_s) for name in list(self._running)))

    async def _follow(self, membership: Membership) -> None:
        async for change in membership.changes():
            if change.lost:
                raise OwnershipLost(change.reason)
            for name in set(change.release) & set(self._running):
                await self._stop(name, GRACE_S)
                await membership.release(name)
            for name in set(change.gained) - set(self._running):
                follower = self._makers[name]()
                stop = asyncio.Event()
                self._running[name] = (follower, stop, asyncio.create_task(follower.run(stop)))
                log.info("follower_taken", group=self._group, name=name)

    async def _stop(self, name: str, grace_s: float) -> None:
        """Let a follower finish, unless it takes too long: its database may never answer."""
        _, stop, task = self._running.pop(name)
        stop.set()
        await asyncio.wait({task}, timeout=grace_s)
        await end([task])
        if not task.cancelled():
            task.result()

    def _wake_all(self) -> None:
        for follower, _, _ in self._running.values():
            follower.wake()
