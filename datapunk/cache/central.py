"""The central part of a cache, in Redis: what may be done to it, each in one step of a Lua script.

Three kinds of keys. *fed*: the epoch, and up to which position the cache was told of events; it expires unless
whoever tells it goes on, and a cache that nobody tells of events answers nothing. *Values* count in the epoch they
were kept in. A *lease* is held by who reads what isn't there: telling of an event takes it away, and without it
nothing is kept. So a value that was read before an event can't be kept after it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex
from typing import Any, Literal

import msgspec
from psycopg.conninfo import conninfo_to_dict
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

LIFE_S = 3600  # of a value
LEASE_S = 10.0  # in which what is read must be there
FED_S = 5.0  # without a word from who tells of events, after which the cache answers nothing
ANSWER_WITHIN_S = 0.5  # else Redis counts as away
CONNECTIONS = 16  # a process and cache

SCRIPTS = {path.stem: path.read_text() for path in (Path(__file__).parent / "lua").glob("*.lua")}


class Touched(msgspec.Struct, frozen=True):
    """What is published of events: the keys whose answers changed, and answers as they are now.

    Attributes:
        cache_invalidate: keys.
        cache_update: answers by key; bytes are in base64.
    """

    cache_invalidate: list[str] = []
    cache_update: dict[str, bytes] = {}


@dataclass(frozen=True, slots=True)
class News:
    """A message of the channel: between these positions, in this epoch, nothing else was touched."""

    epoch: str
    since: int
    until: int
    touched: Touched

    @classmethod
    def read(cls, message: bytes) -> News:
        """From what was published."""
        epoch, since, until, touched = message.split(b" ", 3)
        return cls(epoch.decode(), int(since), int(until), msgspec.json.decode(touched, type=Touched))


@dataclass(frozen=True, slots=True)
class Look:
    """What looking for a key found.

    Attributes:
        what: found: there's a value. leased: there's none, and it's ours to read. busy: another one reads it.
            behind: the cache wasn't told of all events that matter, or of none lately; read past it.
        epoch: in which it was found, or leased.
        value: if it was found.
    """

    what: Literal["found", "leased", "busy", "behind"]
    epoch: str = ""
    value: bytes = b""


class Central:
    """One cache of one database. Use as an async context manager.

    Args:
        redis_url: where.
        database_url: whose answers it keeps.
        name: of the cache.

    Attributes:
        redis: for who listens.
        channel: on which `News` is published.
    """

    def __init__(self, redis_url: str, database_url: str, name: str) -> None:
        self.redis = Redis(
            connection_pool=BlockingConnectionPool.from_url(  # pyright: ignore[reportUnknownMemberType]
                redis_url,
                max_connections=CONNECTIONS,
                timeout=ANSWER_WITHIN_S,
                socket_timeout=ANSWER_WITHIN_S,
                socket_connect_timeout=ANSWER_WITHIN_S,
                retry=Retry(NoBackoff(), 0),
            )
        )
        # In braces: on a cluster all keys of a cache are on one node, where a script can have them.
        self._prefix = f"datapunk.cache:{{{_place(database_url)}:{name}}}"
        self.channel = self._prefix
        self._scripts = {script: self.redis.register_script(text) for script, text in SCRIPTS.items()}

    async def __aenter__(self) -> Central:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.redis.aclose()

    async def hang_up(self) -> None:
        """Drop the connections that nobody uses: they may be to a server that is gone."""
        await self.redis.connection_pool.disconnect(inuse_connections=False)

    async def look(self, key: str, lease: str, after: int = 0) -> Look:
        """Look for a value; if there's none, take the lease.

        Args:
            key: whose.
            lease: a name for it that nobody else uses.
            after: a position that the answer must reflect.

        Raises:
            RedisError: if Redis is away; so do all others here.
        """
        what, *found = await self._run("look", [self._fed, *self._keys(key)], lease, _ms(LEASE_S), after)
        epoch, value = (*found, b"", b"")[:2]
        return Look(what.decode(), epoch.decode(), value)

    async def fill(self, key: str, epoch: str, lease: str, value: bytes) -> bool:
        """Keep what was read; False if the lease was taken away meanwhile."""
        return await self._run("fill", [self._fed, *self._keys(key)], epoch, lease, LIFE_S, value) == 1

    async def release(self, key: str, epoch: str, lease: str) -> None:
        """Let others read it: we couldn't."""
        await self._run("release", [self._keys(key)[1]], epoch, lease)

    async def begin(self, position: int) -> str:
        """Begin an epoch: nothing that was kept counts any more.

        Args:
            position: whoever reads from now on finds all events up to here applied.

        Returns:
            The epoch.
        """
        return (await self._run("begin", [self._fed], token_hex(8), position, _ms(FED_S), self.channel)).decode()

    async def advance(
        self,
        epoch: str,
        since: int,
        until: int,
        invalidate: Collection[str] = (),
        update: Mapping[str, bytes] | None = None,
    ) -> bool:
        """Tell of events that were applied.

        Args:
            epoch: the one begun.
            since: up to where they were told of already.
            until: up to where this tells of them.
            invalidate: the keys whose answers they changed.
            update: answers as they are now, by key.

        Returns:
            False if the epoch is over: somebody began another, or Redis lost it.
        """
        update = update or {}
        body = msgspec.json.encode(Touched(list(invalidate), dict(update)))
        keys = [self._fed, *(each for key in (*update, *invalidate) for each in self._keys(key))]
        arguments = (epoch, since, until, _ms(FED_S), self.channel, body, LIFE_S, *update.values())
        return await self._run("advance", keys, *arguments) == 1

    @property
    def _fed(self) -> str:
        return f"{self._prefix}:fed"

    def _keys(self, key: str) -> tuple[str, str]:
        return f"{self._prefix}:value:{key}", f"{self._prefix}:lease:{key}"

    async def _run(self, script: str, keys: list[str], *arguments: str | bytes | int) -> Any:
        return await self._scripts[script](keys=keys, args=arguments)  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]


def _place(database_url: str) -> str:
    """What tells a database from others that use the same Redis."""
    known = conninfo_to_dict(database_url)
    place = "/".join(str(known.get(part, "")) for part in ("host", "port", "dbname"))
    return hashlib.sha256(place.encode()).hexdigest()[:12]


def _ms(seconds: float) -> int:
    return int(seconds * 1000)
