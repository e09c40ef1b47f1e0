"""Answers to one query, kept as Avro."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import cast

from datapunk.cache.cache import Cache
from datapunk.cache.central import Central
from datapunk.errors import DatapunkError
from datapunk.messages.codec import AVRO_BINARY
from datapunk.messages.message import Answer, Query
from datapunk.messages.registry import Registry
from datapunk.projection import Cached, key_of
from datapunk.settings import Settings

FINGERPRINT = 16  # characters, before an answer: by which schema it was written


class KeptAnswers:
    """Use as an async context manager.

    Args:
        query: the class of query.
        cached: what its module says of it.
        registry: of its messages.
        settings: where Redis is, and for which database.
    """

    def __init__(self, query: type[Query], cached: Cached, registry: Registry, settings: Settings) -> None:
        self._cached = cached
        self._registry = registry
        self._answer = query.answer_type
        self._central = Central(settings.redis_url, settings.database_url, query.message_type)
        self._cache = Cache(query.message_type, self._central)

    async def __aenter__(self) -> KeptAnswers:
        await self._cache.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._cache.__aexit__()
        await self._central.__aexit__()

    async def answer(self, query: Query, tenant: str, after: int, read: Callable[[], Awaitable[Answer]]) -> Answer:
        """Kept, or read.

        Args:
            query: what is asked.
            tenant: who asks.
            after: a position that the answer must reflect.
            read: reads it from the tables.
        """

        async def encoded() -> bytes:
            answer = await read()
            return self._registry.fingerprint(type(answer)).encode() + self._registry.encode(answer, AVRO_BINARY)

        value = await self._cache.get(key_of(tenant, self._cached.key(query)), encoded, after=after)
        try:
            return self._decoded(value)
        except DatapunkError:  # of another release, whose schema we don't know
            return await read()

    def _decoded(self, value: bytes) -> Answer:
        fingerprint, body = value[:FINGERPRINT].decode(), value[FINGERPRINT:]
        return cast(Answer, self._registry.decode(self._answer, body, AVRO_BINARY, fingerprint))
