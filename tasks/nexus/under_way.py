"""Which deliveries of a subscription are under way or wait for a retry: how many there may be is bounded.

Kept in Redis, by position, so that what is handed over twice counts once; scored by the time, which is negative for
what waits for a retry. Should Redis lose it, more is under way for a while, and nothing worse.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from redis.asyncio import Redis

ANSWER_S = 5  # for Redis to answer
FORGOTTEN_S = 2 * 24 * 3600  # what is still there after so long was lost sight of: twice the life of a delivery


def patient_url(redis_url: str) -> str:
    """The URL with limits on how long Redis may take: by itself a client waits for ever."""
    parts = urlsplit(redis_url)
    query = urlencode({"socket_timeout": ANSWER_S, "socket_connect_timeout": ANSWER_S, **dict(parse_qsl(parts.query))})
    return parts._replace(query=query).geturl()


def prefix_of(database_url: str) -> str:
    """What keys in Redis start with: the same in all processes of a platform, and another one on another platform."""
    return f"nexus.webhooks:{urlsplit(database_url).path.removeprefix('/')}"


class UnderWay:
    """Deliveries of all subscriptions.

    Args:
        redis: where they're kept.
        prefix: of their keys: a database's own, so that two platforms may share a Redis.
    """

    def __init__(self, redis: Redis, prefix: str) -> None:
        self._redis: Any = redis
        self._prefix = prefix

    async def count(self, tenant: str, subscription: str) -> tuple[int, int]:
        """How many there are, and how many of these don't wait for a retry."""
        return (await self.counts([(tenant, subscription)]))[0]

    async def counts(self, subscriptions: Sequence[tuple[str, str]]) -> list[tuple[int, int]]:
        """The same of many subscriptions (tenant, id), in one go."""
        long_ago = time.time() - FORGOTTEN_S
        async with self._redis.pipeline(transaction=False) as asked:
            for tenant, subscription in subscriptions:
                key = self._key(tenant, subscription)
                asked.zremrangebyscore(key, -long_ago, long_ago)
                asked.zcard(key)
                asked.zcount(key, 0, "+inf")
            answers = await asked.execute()
        return list(zip(answers[1::3], answers[2::3], strict=True))

    async def add(self, tenant: str, subscription: str, positions: Collection[int]) -> None:
        """These are about to be handed over."""
        now = time.time()
        await self._redis.zadd(self._key(tenant, subscription), dict.fromkeys(map(str, positions), now))

    async def wait(self, tenant: str, subscription: str, position: int) -> None:
        """This one waits for a retry."""
        await self._redis.zadd(self._key(tenant, subscription), {str(position): -time.time()}, xx=True)

    async def remove(self, tenant: str, subscription: str, position: int) -> None:
        """This one is delivered, or given up."""
        await self._redis.zrem(self._key(tenant, subscription), str(position))

    def _key(self, tenant: str, subscription: str) -> str:
        return f"{self._prefix}:under-way:{tenant}/{subscription}"
