"""Actors in memory: taken out for a batch, put back when it's committed.

An actor is only in the cache while its state is what Postgres holds. A batch takes its actors out; if it fails
they're simply not put back, and the next batch loads them anew.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from contextlib import suppress
from typing import Any

import msgspec
from psycopg import AsyncConnection

from datapunk.actor import Actor
from datapunk.incoming import Address, Incoming
from datapunk.messages.codec import AVRO_BINARY
from datapunk.messages.message import Event
from datapunk.messages.registry import Registry
from datapunk.module import Module
from datapunk.state import state_codec
from datapunk.store.events import EventData, SnapshotData
from datapunk.store.read import load_tails
from datapunk.store.snapshots import load_many
from datapunk.telemetry import metrics

SNAPSHOT_BYTES = 4 * 1024 * 1024  # of events since the last one: a snapshot is due, however few they are


class ActorCache:
    """The actors of one module in one process.

    Args:
        module: whose actors.
        registry: decodes their events.
        capacity: most actors kept; the one unused for longest goes first.
        snapshot_every: events between two snapshots.
    """

    def __init__(self, module: Module, registry: Registry, *, capacity: int, snapshot_every: int) -> None:
        self._module = module
        self._registry = registry
        self._capacity = capacity
        self._snapshot_every = snapshot_every
        self._actors: dict[Address, Actor] = {}
        self._consulted: dict[Address, Actor] = {}
        # Bytes of the events of an actor since its last snapshot: of those kept, and of those taken last.
        self._tails: dict[Address, int] = {}
        self._tails_taken: dict[Address, int] = {}
        self._hit_ratio = metrics.CACHE_HIT_RATIO.labels(cache=f"{module.name}.actors")

    def clear(self) -> None:
        """Forget all: after a change of ownership others may have moved them on."""
        self._actors.clear()
        self._consulted.clear()
        self._tails.clear()

    async def take(self, conn: AsyncConnection[Any], commands: Iterable[Incoming]) -> dict[Address, Actor]:
        """The actors that a batch addresses, with the state of those they look at refreshed."""
        wanted = {incoming.address: incoming for incoming in commands}
        taken: dict[Address, Actor] = {}
        missing: dict[Address, Actor] = {}
        tails = {address: self._tails.pop(address, 0) for address in wanted}
        for address, incoming in wanted.items():
            actor = self._actors.pop(address, None)
            if actor is None:
                actor = missing[address] = incoming.actor(incoming.envelope.actor_id)
            taken[address] = actor
        if wanted:
            self._hit_ratio.set(1 - len(missing) / len(wanted))
        if missing:
            tails |= await self._load(conn, missing)
        await self._consult(conn, taken)
        self._tails_taken = tails
        return taken

    def put_back(self, actors: dict[Address, Actor]) -> None:
        """Keep the actors of a committed batch."""
        self._actors.update(actors)
        self._tails |= self._tails_taken
        for address in _shrink(self._actors, self._capacity):
            self._tails.pop(address, None)

    def snapshots(
        self, actors: dict[Address, Actor], versions_before: dict[Address, int], events: Iterable[EventData]
    ) -> list[SnapshotData]:
        """Snapshots of those taken that passed a multiple of `snapshot_every`, or `SNAPSHOT_BYTES`, by these events."""
        every, tails = self._snapshot_every, self._tails_taken
        for event in events:
            tails[event.tenant, event.stream] += len(event.data)
        due = [
            address
            for address, actor in actors.items()
            if actor.version // every > versions_before[address] // every or tails[address] > SNAPSHOT_BYTES
        ]
        tails.update(dict.fromkeys(due, 0))
        return [_snapshot(*address, actors[address]) for address in due]

    async def _load(self, conn: AsyncConnection[Any], actors: dict[Address, Actor]) -> dict[Address, int]:
        """Bring actors to the present: from a snapshot where one fits, then by their events.

        Returns:
            How many bytes of events were applied to each.
        """
        for snapshot in await load_many(conn, list(actors)):
            actor = actors[snapshot.tenant, snapshot.stream]
            codec = state_codec(type(actor))
            if snapshot.state_version != codec.version:
                continue  # of an older shape: the events tell
            with suppress(msgspec.DecodeError):  # unreadable: the events tell
                codec.restore(actor, snapshot.state, snapshot.version)
        return await self._catch_up(conn, actors)

    async def _catch_up(self, conn: AsyncConnection[Any], actors: dict[Address, Actor]) -> dict[Address, int]:
        applied = dict.fromkeys(actors, 0)
        behind = list(actors.items())
        while behind:
            tails = [(tenant, stream, actor.version + 1) for (tenant, stream), actor in behind]
            events, unfinished = await load_tails(conn, tails)
            await self._registry.learn_of(conn, events)
            for event in events:
                message = self._registry.decode(event.type, event.data, AVRO_BINARY, event.schema)
                assert isinstance(message, Event)  # only events are stored
                address, actor = behind[event.whose]
                actor.apply(message)
                applied[address] += len(event.data)
            behind = [behind[place] for place in unfinished]
        return applied

    async def _consult(self, conn: AsyncConnection[Any], actors: dict[Address, Actor]) -> None:
        """Refresh what the actors look at: one query a batch, for the events since the last look."""
        looking: list[tuple[Actor, str, Address]] = []
        consulted: dict[Address, Actor] = {}
        fresh: dict[Address, Actor] = {}
        for (tenant, _), actor in actors.items():
            for look in actor.consulted:
                id = look.at(actor.id)
                address = (tenant, self._module.stream_of(look.actor, id))
                looking.append((actor, look.name, address))
                if address in consulted:
                    continue
                known = self._consulted.pop(address, None)
                if known is None:
                    known = fresh[address] = look.actor(id)
                consulted[address] = known
        if not looking:
            return
        if fresh:
            await self._load(conn, fresh)
        seen_before = {address: actor for address, actor in consulted.items() if address not in fresh}
        if seen_before:
            await self._catch_up(conn, seen_before)
        for actor, name, address in looking:
            actor.look_at(name, consulted[address])
        self._consulted.update(consulted)
        _shrink(self._consulted, self._capacity)


def _snapshot(tenant: str, stream: str, actor: Actor) -> SnapshotData:
    codec = state_codec(type(actor))
    return SnapshotData(tenant, stream, actor.version, codec.version, codec.encode(actor))


def _shrink(cache: dict[Address, Actor], capacity: int) -> Collection[Address]:
    """Drop the oldest of too many; returns which."""
    excess: Collection[Address] = [address for address, _ in zip(cache, range(len(cache) - capacity), strict=False)]
    for address in excess:
        del cache[address]
    return excess
