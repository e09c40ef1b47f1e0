"""Health: is this process alive, has it started, and can it do its work?

* live: the event loop turns and no task that the process can't do without has ended;
* started: every dependency has answered once, and the process said that it's set up;
* ready: every dependency answers. Each is asked every 5 s and has 3 s to answer; it takes 3 failures in a row
  to lose readiness, and one answer to win it back.

    health = Health("lake.shards", {"postgres": DatabaseCheck(settings), "broker": BrokerCheck(settings)})
    async with health.checking():
        health.started()
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any, Protocol

import psycopg

from datapunk.broker.channel import Channel
from datapunk.broker.link import Link
from datapunk.broker.properties import Properties
from datapunk.ending import end
from datapunk.errors import BrokerError
from datapunk.settings import Settings
from datapunk.store.connection import connect
from datapunk.telemetry import logs, metrics

INTERVAL_S = 5.0  # between two checks of a dependency
TIMEOUT_S = 3.0  # for an answer
NO_QUEUE = "datapunk.health"  # nobody declares it
FAILURES_TO_FLIP = 3  # in a row, until a dependency counts as away
STALLED_S = 15.0  # a loop that didn't turn for so long is dead: thrice the interval of checks

log = logs.get_logger(__name__)


class Check(Protocol):
    """Asks one dependency for a sign of life."""

    async def ask(self) -> None:
        """Return if it answers; else raise whatever tells why."""
        ...

    async def close(self) -> None:
        """Let go of what it holds."""
        ...


@dataclass
class DependencyState:
    """What is known of one dependency."""

    is_up: bool = False
    was_up: bool = False
    failures: int = 0
    error: str | None = "not asked yet"
    took_ms: float | None = None
    checked_at: float | None = None  # seconds of Unix time


@dataclass(frozen=True)
class Report:
    """An answer to a probe: whether all is well, and the details as plain values."""

    is_ok: bool
    body: dict[str, Any]


class Health:
    """Keeps an eye on the dependencies of one process.

    Args:
        service: the process's name.
        checks: the dependencies, by name.
        interval_s: between two checks.
        timeout_s: for an answer.
        failures_to_flip: in a row, until a dependency that was up counts as down.
    """

    def __init__(
        self,
        service: str,
        checks: Mapping[str, Check],
        *,
        interval_s: float = INTERVAL_S,
        timeout_s: float = TIMEOUT_S,
        failures_to_flip: int = FAILURES_TO_FLIP,
    ) -> None:
        self.service = service
        self.states = {name: DependencyState() for name in checks}
        self._checks = dict(checks)
        self._interval_s, self._timeout_s, self._failures_to_flip = interval_s, timeout_s, failures_to_flip
        self._is_started = False
        self._turned_at = time.monotonic()
        self._vital: dict[str, asyncio.Task[Any]] = {}

    def started(self) -> None:
        """Say that the process is set up."""
        self._is_started = True

    def watch(self, name: str, task: asyncio.Task[Any]) -> None:
        """The process counts as dead once this task has ended, so that its supervisor restarts it."""
        self._vital[name] = task

    def live(self) -> Report:
        """Does the loop turn, and does every vital task run?"""
        stalled_s = time.monotonic() - self._turned_at
        ended = sorted(name for name, task in self._vital.items() if task.done())
        body: dict[str, Any] = {
            "service": self.service,
            "loop_turned_s_ago": round(stalled_s, 3),
            "ended": ended,
        }
        return self._report("live", stalled_s < STALLED_S and not ended, body)

    def startup(self) -> Report:
        """Has it started, and has every dependency answered once?"""
        missing = sorted(name for name, state in self.states.items() if not state.was_up)
        body: dict[str, Any] = {"service": self.service, "waiting_for": missing}
        return self._report("started", self._is_started and not missing, body)

    def ready(self) -> Report:
        """Can it do its work right now?"""
        dependencies = {name: _shown(state) for name, state in sorted(self.states.items())}
        is_ready = self._is_started and all(state.is_up for state in self.states.values())
        return self._report("ready", is_ready, {"service": self.service, "dependencies": dependencies})

    @asynccontextmanager
    async def checking(self) -> AsyncGenerator[Health]:
        """Check the dependencies for as long as the block runs."""
        self._turned_at = time.monotonic()
        tasks = [asyncio.create_task(self._check_for_ever(name)) for name in self._checks]
        tasks.append(asyncio.create_task(self._turn_for_ever()))
        try:
            yield self
        finally:
            await end(tasks)
            for check in self._checks.values():
                with suppress(Exception):
                    await check.close()

    async def check(self, name: str) -> DependencyState:
        """Ask one dependency now."""
        state = self.states[name]
        began = time.perf_counter()
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._checks[name].ask()
        except Exception as error:
            state.failures += 1
            state.error = (
                f"no answer in {self._timeout_s:g} s"
                if isinstance(error, TimeoutError)
                else f"{type(error).__name__}: {error}".strip()
            )
            if state.is_up and state.failures >= self._failures_to_flip:
                state.is_up = False
                log.warning("dependency away", dependency=name, failures=state.failures, error=state.error)
        else:
            if state.was_up and not state.is_up:
                log.info("dependency back", dependency=name)
            state.is_up = state.was_up = True
            state.failures, state.error = 0, None
        state.took_ms = round((time.perf_counter() - began) * 1000, 1)
        state.checked_at = time.time()
        metrics.DEPENDENCY_UP.labels(self.service, name).set(state.is_up)
        return state

    async def _check_for_ever(self, name: str) -> None:
        while True:
            began = time.monotonic()
            state = await self.check(name)
            # Until the first answer ask more often: a start shouldn't wait for a whole interval.
            interval_s = self._interval_s if state.was_up else self._interval_s / 10
            await asyncio.sleep(max(0.0, began + interval_s - time.monotonic()))

    async def _turn_for_ever(self) -> None:
        while True:
            self._turned_at = time.monotonic()
            await asyncio.sleep(1.0)

    def _report(self, word: str, is_ok: bool, body: dict[str, Any]) -> Report:
        return Report(is_ok, {"status": word if is_ok else f"not {word}", **body})


def _shown(state: DependencyState) -> dict[str, Any]:
    return {
        "up": state.is_up,
        "failures": state.failures,
        "error": state.error,
        "took_ms": state.took_ms,
        "checked_s_ago": None if state.checked_at is None else round(time.time() - state.checked_at, 1),
    }


class DatabaseCheck:
    """Asks Postgres for a row, over a connection of its own that it keeps."""

    def __init__(self, settings: Settings) -> None:
        self._url = settings.database_url
        self._connection: psycopg.AsyncConnection[tuple[Any, ...]] | None = None

    async def ask(self) -> None:
        """Run `SELECT 1`.

        Raises:
            psycopg.Error: if it can't.
        """
        try:
            if self._connection is None:
                self._connection = await connect(self._url)
            await self._connection.execute("SELECT 1")
        except BaseException:  # a cancelled query leaves the connection unfit, too
            await self.close()
            raise

    async def close(self) -> None:
        """Close the connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(psycopg.Error):
                await connection.close()


class BrokerCheck:
    """Has RabbitMQ take a message, which goes nowhere, over a connection of its own that it keeps."""

    def __init__(self, settings: Settings) -> None:
        self._url = settings.broker_url
        self._link: Link | None = None
        self._channel: Channel | None = None

    async def ask(self) -> None:
        """Publish to a queue that isn't there: only publishers are told when the broker takes nothing.

        Raises:
            BrokerError: if the broker refuses, can't be reached, or takes nothing because its memory or disk is short.
        """
        try:
            if self._link is None or self._channel is None:
                self._link = await Link.open(self._url, name="health")
                self._channel = await self._link.channel(confirms=True)
            link, channel = self._link, self._channel
            if not link.blocked.is_set():
                channel.publish("", NO_QUEUE, Properties(), b"")
                tasks = {
                    asyncio.create_task(channel.confirmed(channel.flush())),
                    asyncio.create_task(link.blocked.wait()),
                }
                try:
                    done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                    for task in done:
                        task.result()
                finally:
                    await end(tasks)
        except BaseException:
            await self.close()
            raise
        if link.blocked.is_set():  # the connection stays, to be told when that's over
            raise BrokerError("the broker takes no messages: its memory or its disk is short")

    async def close(self) -> None:
        """Close the connection."""
        link, self._link, self._channel = self._link, None, None
        if link is not None:
            await link.close()
