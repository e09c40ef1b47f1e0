"""Who is alive, and whose share is what: shards, projections, and whatever else has one owner at a time.

Members beat in Postgres. Each computes all shares from the list of members (`datapunk.shares`) and takes a lease
on its own items as they become free: an owner lets go of an item only when it has finished with it, and a member
that has been silent for `member_timeout_s`, by the database's clock, is struck off by the others, which ends its
leases. An owner that couldn't beat for so long, by its own clock, counts itself as dead. A process that is frozen
can't notice: that's what optimistic concurrency and conditional checkpoints are for. See docs/adr/0006.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Collection, Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from time import monotonic
from types import TracebackType
from typing import Any
from uuid import UUID, uuid4

import psycopg
from psycopg import AsyncConnection

from datapunk.ending import end
from datapunk.settings import Settings
from datapunk.shares import shares
from datapunk.store.connection import connect
from datapunk.store.statements import statement
from datapunk.telemetry.logs import get_logger

log = get_logger(__name__)

HANG_UP_S = 1.0  # for a query to notice that its connection is gone
_AWAY = (psycopg.Error, OSError, TimeoutError)


@dataclass(frozen=True, slots=True)
class Change:
    """What is different from now on.

    Attributes:
        gained: items that are this member's; it may start with them.
        release: items that somebody else should have: finish with them, then call `release`.
        lost: this member was, or may have been, taken for dead: stop with all items at once.
        reason: why they're lost.
    """

    gained: frozenset[str] = field(default_factory=frozenset[str])
    release: frozenset[str] = field(default_factory=frozenset[str])
    lost: bool = False
    reason: str = ""


class Membership:
    """One process's membership in a group that shares out items. Use as an async context manager.

    Args:
        settings: the database, how often to beat, and what silence means.
        group: its name, as in `lake.shards`.
        items: what is shared out.
    """

    def __init__(self, settings: Settings, group: str, items: Collection[str]) -> None:
        self.id: UUID = uuid4()
        self.group = group
        self._settings = settings
        self._items = sorted(items)
        self._owned: set[str] = set()
        self._asked: set[str] = set()
        self._given_up: set[str] = set()
        self._changes: asyncio.Queue[Change] = asyncio.Queue()
        self._beating: asyncio.Task[None] | None = None
        self._is_leaving = asyncio.Event()
        self._takes_part = True
        self._last_beat = monotonic()
        self._database = asyncio.Lock()
        self._conn: AsyncConnection[Any] | None = None

    async def __aenter__(self) -> Membership:
        self._last_beat = monotonic()
        self._beating = asyncio.create_task(self._beat_for_ever(), name=f"beat {self.group}")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.leave()

    async def changes(self) -> AsyncIterator[Change]:
        """What changes from now on, starting with what is owned already."""
        self._changes = asyncio.Queue()
        self._asked.clear()
        self._given_up.clear()
        self._takes_part = True
        if self._owned:
            yield Change(gained=frozenset(self._owned))
        while True:
            yield await self._changes.get()

    async def release(self, item: str) -> None:
        """Let somebody else have an item; call it when nothing is under way with it any more.

        What is released unasked isn't taken again before `changes` is called anew: whoever does so is about to leave.
        """
        if item not in self._asked:
            self._given_up.add(item)
        try:
            await self._bounded(self._release(item), self._settings.member_timeout_s)
        except _AWAY as error:  # the next heartbeat that gets through gives it back
            log.warning("release_failed", group=self.group, item=item, detail=str(error))
        finally:
            self._owned.discard(item)
            self._asked.discard(item)

    async def stand_back(self) -> None:
        """Let others have everything until `changes` is called anew: for who is alive, and can't do its part."""
        self._takes_part = False
        await self._give_everything_back()

    async def leave(self) -> None:
        """Stop beating and give everything back; others needn't wait for the silence."""
        if self._beating is None:
            return
        self._is_leaving.set()
        await self._beating
        self._beating = None
        await self._give_everything_back()
        await self._drop_connection()

    async def _give_everything_back(self) -> None:
        try:
            await self._bounded(self._leave(), self._settings.member_timeout_s)
        except _AWAY as error:  # it lapses with our silence
            log.warning("leave_failed", group=self.group, detail=str(error))
            await self._drop_connection()

    async def _beat_for_ever(self) -> None:
        while not self._is_leaving.is_set():
            try:
                if self._takes_part:
                    await self._bounded(self._beat(), self._patience())
            except _AWAY as error:
                log.warning("beat_failed", group=self.group, detail=str(error))
                await self._drop_connection()
                silence = monotonic() - self._last_beat
                # The next heartbeat would come too late to be sure.
                if self._owned and silence + self._settings.heartbeat_s > self._settings.member_timeout_s:
                    self._lose(f"no heartbeat reached the database for {silence:.1f} s")
            with suppress(TimeoutError):
                await asyncio.wait_for(self._is_leaving.wait(), self._settings.heartbeat_s)

    def _patience(self) -> float:
        """How long a heartbeat may take, in seconds: an owner must know before others count it as dead."""
        left = self._last_beat + self._settings.member_timeout_s - monotonic()
        return left if self._owned and left > 0 else self._settings.member_timeout_s

    async def _beat(self) -> None:
        async with self._database:
            conn = await self._connected()
            began = monotonic()
            cursor = await conn.execute(statement("beat"), self._named())
            if cursor.rowcount == 0:
                if self._owned:
                    self._lose("this process was silent for so long that others count it as dead")
                await self._join()
            await self._settle_shares(conn)
            self._last_beat = began

    async def _settle_shares(self, conn: AsyncConnection[Any]) -> None:
        """Take what is ours and free; ask for what we own and somebody else should have."""
        await conn.execute(statement("bury_silent_members"), self._named())
        cursor = await conn.execute(statement("owned_leases"), self._named())
        leased = {row[0] for row in await cursor.fetchall()}
        if self._owned - leased:
            self._lose(f"somebody else took {', '.join(sorted(self._owned - leased))}")
        cursor = await conn.execute(statement("query_members"), self._named())
        share = shares([row[0] for row in await cursor.fetchall()], self._items).get(self.id, set())
        share -= self._given_up
        leftover = leased - self._owned - share
        if leftover:  # released or lost here, and the database wasn't told
            await conn.execute(statement("release_leases"), self._named(items=sorted(leftover)))
        wanted = share - self._owned
        if wanted:
            cursor = await conn.execute(statement("acquire_leases"), self._named(items=sorted(wanted)))
            gained = frozenset(row[0] for row in await cursor.fetchall())
            if gained:
                self._owned |= gained
                self._changes.put_nowait(Change(gained=gained))
        surplus = frozenset(self._owned - share - self._asked)
        if surplus:
            self._asked |= surplus
            self._changes.put_nowait(Change(release=surplus))

    def _lose(self, reason: str) -> None:
        self._owned.clear()
        self._asked.clear()
        self._changes.put_nowait(Change(lost=True, reason=reason))

    async def _join(self) -> None:
        conn = await self._connected()
        description = f"{socket.gethostname()}:{os.getpid()}"
        await conn.execute(statement("join_group"), self._named(description=description))
        await conn.execute(statement("insert_leases"), self._named(items=self._items))

    async def _release(self, item: str) -> None:
        async with self._database:
            self._owned.discard(item)  # not sooner: a heartbeat in between would take it again
            conn = await self._connected()
            await conn.execute(statement("release_leases"), self._named(items=[item]))

    async def _leave(self) -> None:
        async with self._database:
            self._owned.clear()  # not sooner: a heartbeat under way may still take something
            self._asked.clear()
            conn = await self._connected()
            await conn.execute(statement("leave_group"), self._named())

    async def _bounded(self, act: Coroutine[Any, Any, None], limit_s: float) -> None:
        """Do something with the database, within a limit, even if the server says nothing at all.

        Raises:
            TimeoutError: if it took longer; the connection is closed then.
        """
        task = asyncio.create_task(act)
        try:
            await asyncio.wait({task}, timeout=limit_s)
        finally:
            if not task.done():
                self._hang_up()  # first: a cancelled query waits for the server's answer
                await asyncio.wait({task}, timeout=HANG_UP_S)
                await end([task])
                await self._drop_connection()
        if task.cancelled():
            raise TimeoutError(f"the database didn't answer within {limit_s:.1f} s")
        task.result()

    async def _connected(self) -> AsyncConnection[Any]:
        if self._conn is None or self._conn.closed:
            self._conn = await connect(self._settings.database_url)
        return self._conn

    def _hang_up(self) -> None:
        """End the conversation, so that a query under way fails. (A descriptor that the loop watches isn't closed.)"""
        with suppress(OSError, psycopg.Error):
            if self._conn is not None:
                with socket.fromfd(self._conn.fileno(), socket.AF_INET, socket.SOCK_STREAM) as line:
                    line.shutdown(socket.SHUT_RDWR)

    async def _drop_connection(self) -> None:
        if self._conn is not None:
            await self._conn.close()
            self._conn = None

    def _named(self, **more: Any) -> dict[str, Any]:
        return {"id": self.id, "group": self.group, "timeout_s": self._settings.member_timeout_s, **more}
