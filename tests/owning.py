"""An owner of the shards of accounts, for tests: without a projector, and with connections that can be cut."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

from psycopg import AsyncConnection

from datapunk.ending import end
from datapunk.errors import ConnectionLost
from datapunk.membership import Membership
from datapunk.messages.registry import Registry
from datapunk.settings import Settings
from datapunk.shard import ShardEngine
from tests.accounts.module import accounts
from tests.proxy import Proxy, proxy_to
from tests.working import DEADLINE_S

SHARDS = 2
SHARDED = {"shards": SHARDS}


class Owner:
    """What a process of its own would be; it has proxies of its own. Made by `Owner.start`.

    Attributes:
        crash_at: the next time the engine gets there, its session breaks.
        is_done: whether it was stopped or killed.
    """

    broker: Proxy
    database: Proxy
    membership: Membership
    _running: asyncio.Task[None]

    def __init__(self) -> None:
        self.crash_at: str | None = None
        self.is_done = False
        self._stack = AsyncExitStack()
        self._stop = asyncio.Event()

    @classmethod
    async def start(cls, settings: Settings, registry: Registry) -> Owner:
        """Become a member, and work."""
        owner = cls()
        owner.broker = await owner._stack.enter_async_context(proxy_to(settings.broker_url))
        owner.database = await owner._stack.enter_async_context(proxy_to(settings.database_url))
        through = settings.model_copy(update={"broker_url": owner.broker.url, "database_url": owner.database.url})
        owner.membership = Membership(through, "accounts.shards", [str(shard) for shard in range(SHARDS)])
        await owner.membership.__aenter__()
        engine = ShardEngine(accounts, registry, through, owner.membership, owner._at)
        owner._running = asyncio.create_task(engine.run(owner._stop))
        return owner

    def _at(self, point: str) -> None:
        if point == self.crash_at:
            self.crash_at = None
            raise ConnectionLost(f"as told, at {point}")

    async def stop(self) -> None:
        """Hand over, and end."""
        self.is_done = True
        self._stop.set()
        await asyncio.wait_for(self._running, DEADLINE_S)
        await self.membership.leave()
        await self._stack.aclose()

    async def kill(self, conn: AsyncConnection[tuple[object, ...]]) -> None:
        """End at once, without a word to anybody."""
        self.is_done = True
        await self._stack.aclose()
        await end([self._running])
        await self.membership.leave()  # which nobody hears
        await self.count_as_dead(conn)

    async def count_as_dead(self, conn: AsyncConnection[tuple[object, ...]]) -> None:
        """As others do when it's silent for too long; it notices with its next heartbeat."""
        await conn.execute("delete from members where id = %s", (self.membership.id,))

    async def cut(self, proxy: Proxy) -> None:
        """Break all connections there; new ones are let through at once."""
        await proxy.disconnect()
        await proxy.connect()
