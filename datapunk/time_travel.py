"""An actor as it was: its state at any version, and what each event changed in it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from copy import deepcopy
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg import AsyncConnection

from datapunk.actor import Actor
from datapunk.errors import ConfigurationError
from datapunk.messages.codec import AVRO_BINARY
from datapunk.messages.message import Event
from datapunk.messages.registry import Registry
from datapunk.module import Module
from datapunk.store.events import RecordedEvent
from datapunk.store.read import read_stream, version_at

PAGE = 200  # events a query; each may be large

Point = int | datetime  # a version, or the last one until then
State = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Change:
    """An event, and what it changed.

    Attributes:
        recorded: as it's stored.
        event: decoded.
        before: the attributes that it changed, as they were.
        after: the same, as they are since.
    """

    recorded: RecordedEvent
    event: Event
    before: State
    after: State


@dataclass(frozen=True, slots=True)
class Moment:
    """An actor's state at a version; `at` is when it got there, none before its first event."""

    version: int
    at: datetime | None
    state: State


class TimeMachine:
    """Replays one actor from its first event; snapshots aren't used, and nothing is written.

    Args:
        conn: where its events are.
        registry: decodes them.
        modules: among these is the actor's.
        tenant: whose it is.
        stream: which one, as in `lake.dataset/weather`.

    Raises:
        ConfigurationError: if no module has actors of this kind.
    """

    def __init__(
        self, conn: AsyncConnection[Any], registry: Registry, modules: Collection[Module], tenant: str, stream: str
    ) -> None:
        self._conn = conn
        self._registry = registry
        self._tenant = tenant
        self._stream = stream
        kinds = {f"{module.name}.{actor.kind}": actor for module in modules for actor in module.actors}
        kind, _, self._id = stream.partition("/")
        if kind not in kinds or not self._id:
            known = ", ".join(f"{name}/<id>" for name in sorted(kinds)) or "none"
            raise ConfigurationError(f"{stream!r} is no actor of an installed module; there are {known}")
        self._kind = kinds[kind]

    async def state(self, at: Point | None = None) -> Moment:
        """Its state at a version, at a time, or now.

        Raises:
            ConfigurationError: if it had no event by then, or doesn't have so many.
        """
        wanted = await self._version(at)
        actor, last = self._kind(self._id), None
        async for recorded, event in self._events(wanted):
            actor.apply(event)
            last = recorded.at
        if at is not None and isinstance(at, int) and actor.version < at:
            raise ConfigurationError(f"{self._stream} has {actor.version:,} versions so far, not {at:,}")
        if not actor.version and at != 0:
            raise ConfigurationError(f"{self._stream} (tenant {self._tenant}) had no event by then")
        return Moment(actor.version, last, _state(actor))

    async def history(self, *, after: int = 0, until: Point | None = None) -> AsyncIterator[Change]:
        """Each event with what it changed, from a version on."""
        actor = self._kind(self._id)
        before = _state(actor)
        async for recorded, event in self._events(await self._version(until)):
            actor.apply(event)
            if recorded.version > after:
                now = _state(actor)
                names = [name for name, value in now.items() if value != before[name]]
                yield Change(
                    recorded, event, {name: before[name] for name in names}, {name: now[name] for name in names}
                )
                before = now
            elif recorded.version == after:
                before = _state(actor)

    async def _version(self, at: Point | None) -> int | None:
        return await version_at(self._conn, self._tenant, self._stream, at) if isinstance(at, datetime) else at

    async def _events(self, until: int | None) -> AsyncIterator[tuple[RecordedEvent, Event]]:
        version = 0
        while until is None or version < until:
            limit = PAGE if until is None else min(PAGE, until - version)
            page = await read_stream(self._conn, self._tenant, self._stream, from_version=version + 1, limit=limit)
            for recorded in page:
                event = self._registry.decode(recorded.type, recorded.data, AVRO_BINARY, recorded.schema)
                assert isinstance(event, Event)  # only events are stored
                yield recorded, event
            if len(page) < limit:
                return
            version = page[-1].version


def _state(actor: Actor) -> State:
    return {name: deepcopy(getattr(actor, name)) for name in actor.state_fields}
