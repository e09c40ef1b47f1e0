"""Follows all events: one reader of the store a process, any number of listeners, no gap and nothing twice.

Everything comes from the store by position. A listener first catches up with reads of its own; once it's
where the shared reader is, it joins that one (both in the same turn of the loop, so nothing falls between). A
listener that doesn't keep up loses its place there, not its events: what waits for it in memory is bounded,
and beyond the bound it's dropped and read again from the store when the listener is ready for more.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import suppress

import psycopg
from psycopg_pool import PoolTimeout

from datapunk.ending import end
from datapunk.messages.registry import Registry
from datapunk.store.connection import Pool
from datapunk.store.events import RecordedEvent
from datapunk.store.read import read_all, safe_position
from datapunk.telemetry import logs

POLL_S = 0.1  # between two looks for new events, while somebody listens
RETRY_S = 1.0  # while the database is away
PAGE_EVENTS = 500  # most events a read
PAGE_BYTES = 8 * 1024 * 1024  # pages get shorter while they're larger than this
MOST_WAITING_EVENTS = 2000  # for one listener
MOST_WAITING_BYTES = 16 * 1024 * 1024  # for one listener
CATCHING_UP = 2  # reads at a time by those who catch up: the pool is for others, too
IDLE_S = 15.0  # after so long without an event a listener hears the position instead

Matches = Callable[[RecordedEvent], bool]

log = logs.get_logger(__name__)


class EventTail:
    """The end of the log of events.

    Args:
        pool: connections in autocommit.
        registry: learns the schemas of the events.
        idle_s: how long a listener waits at most before it hears something.
    """

    def __init__(self, pool: Pool, registry: Registry, *, idle_s: float = IDLE_S) -> None:
        self._pool = pool
        self._registry = registry
        self._idle_s = idle_s
        self._listeners: set[_Listener] = set()
        self._position: int | None = None
        self._reader: asyncio.Task[None] | None = None
        self._is_closed = False
        self._catching_up = asyncio.Semaphore(CATCHING_UP)

    async def follow(
        self,
        matches: Matches,
        after: int | None,
        *,
        types: Sequence[str] | None = None,
        tenant: str | None = None,
    ) -> AsyncGenerator[RecordedEvent | int]:
        """All events that match, in order, for ever; ends when the tail is closed.

        Args:
            matches: tells which are wanted.
            after: the position after which to begin; None: now.
            types: only these message types, if that narrows down what `matches` leaves; it saves reading others.
            tenant: only this one's, likewise.

        Yields:
            An event, or when there was none for a while, the position up to which there was none.

        Raises:
            psycopg.OperationalError: if the database goes away.
        """
        listener = _Listener(matches)
        loop = asyncio.get_running_loop()
        try:
            position = await self._now() if after is None else after
            told_at = loop.time()
            while not self._is_closed:
                while not (self._joins(listener, position) or self._is_closed):
                    events, position = await self._page(listener, position, types, tenant)
                    for event in events:
                        if matches(event):
                            yield event
                            told_at = loop.time()
                    if loop.time() - told_at >= self._idle_s:
                        yield position
                        told_at = loop.time()
                if self._is_closed:
                    return
                while (event := await listener.next(self._idle_s)) is not None:
                    if isinstance(event, int):
                        position = max(position, event)
                        yield position
                    elif event.position > position:
                        position = event.position
                        yield event
                told_at = loop.time()
        finally:
            self._leave(listener)

    async def close(self) -> None:
        """End all following."""
        self._is_closed = True
        for listener in list(self._listeners):
            listener.dismiss()
        reader, self._reader = self._reader, None
        if reader is not None:
            await end([reader])

    def _joins(self, listener: _Listener, position: int) -> bool:
        """Join the shared reader, if it's running and not ahead of this position."""
        if self._reader is None or self._reader.done():
            self._position = None
            self._reader = asyncio.create_task(self._read())
        if self._position is None or self._position > position:
            return False
        listener.reset(self._position)
        self._listeners.add(listener)
        return True

    def _leave(self, listener: _Listener) -> None:
        self._listeners.discard(listener)
        if not self._listeners and self._reader is not None:
            self._reader.cancel()
            self._reader = None

    async def _now(self) -> int:
        async with self._pool.connection() as conn:
            return await safe_position(conn)

    async def _page(
        self, listener: _Listener, position: int, types: Sequence[str] | None, tenant: str | None
    ) -> tuple[list[RecordedEvent], int]:
        async with self._catching_up, self._pool.connection() as conn:
            events, reached = await read_all(conn, position, listener.page, types=types, tenant=tenant)
            await self._registry.learn_of(conn, events)
        listener.page = _next_page(listener.page, events)
        if reached == position:
            await asyncio.sleep(POLL_S)  # at the end, and the shared reader isn't running yet
        return events, reached

    async def _read(self) -> None:
        page = PAGE_EVENTS
        while self._reader is asyncio.current_task():  # nobody waits for one that was left and cancelled
            position = self._position
            try:
                if position is None:
                    self._position = await self._now()
                    continue
                async with self._pool.connection() as conn:
                    events, reached = await read_all(conn, position, page)
                    await self._registry.learn_of(conn, events)
            except (psycopg.OperationalError, PoolTimeout) as error:
                log.warning("database away", error=str(error), retry_in_s=RETRY_S)
                await asyncio.sleep(RETRY_S)
                continue
            page = _next_page(page, events)
            self._position = reached
            for listener in list(self._listeners):
                listener.offer(events, reached)
                if listener.is_dismissed:
                    self._listeners.discard(listener)
            if reached == position:
                await asyncio.sleep(POLL_S)


class _Listener:
    """What waits for one who follows."""

    def __init__(self, matches: Matches) -> None:
        self.page = PAGE_EVENTS
        self.is_dismissed = False
        self._matches = matches
        self._waiting: deque[RecordedEvent] = deque()
        self._bytes = 0
        self._reached = 0
        self._wake = asyncio.Event()

    def reset(self, position: int) -> None:
        self.is_dismissed = False
        self._waiting.clear()
        self._bytes, self._reached = 0, position

    def offer(self, events: Sequence[RecordedEvent], reached: int) -> None:
        for event in events:
            if self._matches(event):
                self._waiting.append(event)
                self._bytes += len(event.data)
        self._reached = reached
        if len(self._waiting) > MOST_WAITING_EVENTS or self._bytes > MOST_WAITING_BYTES:
            self.dismiss()
            self._waiting.clear()
        elif self._waiting:
            self._wake.set()

    def dismiss(self) -> None:
        """It has to catch up again, or go."""
        self.is_dismissed = True
        self._wake.set()

    async def next(self, wait_s: float) -> RecordedEvent | int | None:
        """The next event; after waiting in vain the position reached; None once dismissed."""
        if not self._waiting and not self.is_dismissed:
            self._wake.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self._wake.wait()
        if not self._waiting:
            return None if self.is_dismissed else self._reached
        event = self._waiting.popleft()
        self._bytes -= len(event.data)
        return event


def _next_page(page: int, events: Sequence[RecordedEvent]) -> int:
    if sum(len(event.data) for event in events) > PAGE_BYTES:
        return max(1, page // 2)
    return min(PAGE_EVENTS, page * 2)
