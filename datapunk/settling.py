"""A batch of commands made durable: load, decide, commit; again where that failed, and apart where it must be.

Whatever happens, each command of the batch ends up decided exactly once or among the dead letters; an innocent
one never suffers from another one in its batch.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from time import perf_counter, time_ns
from typing import Any
from uuid import UUID

import psycopg
from psycopg import AsyncConnection

from datapunk.actor_cache import ActorCache
from datapunk.deciding import Decided, Decider, Known, Spoiled
from datapunk.errors import DuplicateCommand, OwnershipLost, RefusedByStore, VersionConflict
from datapunk.hook import Hook
from datapunk.incoming import Address, Incoming, Refused
from datapunk.messages.outcome import Outcome
from datapunk.messages.registry import Registry
from datapunk.store.append import AppendBatch, append
from datapunk.store.inbox import lookup_many
from datapunk.store.leases import Fence
from datapunk.telemetry import metrics, traces
from datapunk.telemetry.logs import get_logger

CONFLICTS_BEARABLE = 20  # in a row; more mean that somebody else keeps writing these streams
RETRY_FIRST_S, RETRY_MOST_S = 0.05, 5.0  # pauses while the database is away

log = get_logger(__name__)


class CommitUncertain(Exception):  # an instruction to the caller
    """The database is back, but whether the last commit took effect isn't known: start over from recovery.

    Deciding again would be safe, yet events committed by then would count as published by somebody else.
    """


@dataclass(slots=True)
class Committed:
    """A decided batch, durable in Postgres and not yet published.

    Attributes:
        positions: of its events, in their order.
        outbox: the ids of the outbox rows that stand for its events until the broker has confirmed them.
    """

    decided: Decided
    positions: list[int] = field(default_factory=list[int])
    outbox: list[int] = field(default_factory=list[int])
    at: datetime | None = None


class Settler:
    """Makes batches of one module durable, over one connection of its own.

    Args:
        connect: opens a connection to Postgres.
        shard_of: which shard an incoming command came from.
        fence_of: the leases of some shards, under which their commands are decided.
        owner: this process, as the outbox names it.
        at: told where the engine is.
    """

    def __init__(
        self,
        module: str,
        registry: Registry,
        cache: ActorCache,
        *,
        connect: Callable[[], Awaitable[AsyncConnection[Any]]],
        shard_of: Callable[[Incoming], int],
        fence_of: Callable[[Collection[object]], Fence],
        owner: UUID,
        at: Hook,
    ) -> None:
        self._module = module
        self._registry = registry
        self._cache = cache
        self._decider = Decider(registry)
        self._connect = connect
        self._connection: AsyncConnection[Any] | None = None
        self._shard_of = shard_of
        self._fence_of = fence_of
        self._owner = owner
        self._at = at
        self.confirmed: list[int] = []
        self._is_committing = False
        self._load_time = metrics.SHARD_BATCH_DURATION.labels(module=module, stage="load")
        self._decide_time = metrics.SHARD_BATCH_DURATION.labels(module=module, stage="decide")
        self._commit_time = metrics.SHARD_BATCH_DURATION.labels(module=module, stage="commit")

    async def settle(self, commands: Sequence[Incoming], refused: Sequence[Refused] = ()) -> list[Committed]:
        """Decide and commit; usually one transaction, more where the batch had to be split.

        Waits as long as the database is away.

        Raises:
            CommitUncertain: if the connection broke during a commit; raised once the database is back.
            OwnershipLost: if a shard is somebody else's, or these streams keep being written by others.
        """
        settled = [Committed(Decided(refused=list(refused)))] if refused else []
        if commands:
            settled += await self._settle(list(commands))
        return settled

    async def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            await self._connection.close()

    async def _settle(self, commands: list[Incoming]) -> list[Committed]:
        conflicts, pause, is_uncertain = 0, RETRY_FIRST_S, False
        spoiled: list[Refused] = []
        while commands:
            try:
                await self._connected()
                if is_uncertain:
                    raise CommitUncertain(f"{self._module}: the connection broke during a commit")
                committed = await self._attempt(commands)
            except Spoiled as failure:
                spoiled.append(failure.refused)
                commands = [incoming for incoming in commands if incoming.delivery is not failure.refused.delivery]
            except (VersionConflict, DuplicateCommand) as conflict:
                self._is_committing = False
                conflicts += 1
                if conflicts > CONFLICTS_BEARABLE:
                    raise OwnershipLost(f"{self._module}: {conflict}") from conflict
                log.warning("conflict", module=self._module, attempt=conflicts, detail=str(conflict))
            except (psycopg.OperationalError, psycopg.InterfaceError, OSError) as error:
                log.warning("database_away", module=self._module, retry_in_s=pause, detail=str(error))
                await self._drop_connection()
                await asyncio.sleep(pause)
                pause = min(pause * 2, RETRY_MOST_S)
                is_uncertain = is_uncertain or self._is_committing
                self._is_committing = False
            except psycopg.Error as error:
                self._is_committing = False
                # The database refuses something in this batch: find out what, and let the rest through.
                if len(commands) == 1:
                    spoiled.append(_refused_by_store(commands[0], error))
                    break
                middle = len(commands) // 2
                halves = [*await self._settle(commands[:middle]), *await self._settle(commands[middle:])]
                return [Committed(Decided(refused=spoiled)), *halves]
            else:
                committed.decided.refused.extend(spoiled)
                return [committed]
        return [Committed(Decided(refused=spoiled))]

    async def _attempt(self, commands: list[Incoming]) -> Committed:
        conn = await self._connected()
        start = perf_counter()
        known = {
            (entry.tenant, entry.id): Known(entry.body_hash, self._outcome(entry.reply, entry.position))
            for entry in await lookup_many(conn, list({incoming.key for incoming in commands}))
        }
        actors = await self._cache.take(conn, [incoming for incoming in commands if incoming.key not in known])
        loaded = perf_counter()
        before = {address: actor.version for address, actor in actors.items()}
        decided = self._decider.decide(commands, known, actors)
        decided_at = perf_counter()
        committed = Committed(decided)
        fence = self._fence_of({self._shard_of(incoming) for incoming in commands})
        if decided.inbox:
            await self._commit(conn, committed, actors, before, fence)
        else:
            await fence.check(conn)  # what another owner knows of isn't ours to acknowledge
        self._cache.put_back(actors)
        self._load_time.observe(loaded - start)
        self._decide_time.observe(decided_at - loaded)
        self._commit_time.observe(perf_counter() - decided_at)
        return committed

    async def _commit(
        self,
        conn: AsyncConnection[Any],
        committed: Committed,
        actors: dict[Address, Any],
        before: dict[Address, int],
        fence: Fence,
    ) -> None:
        decided = committed.decided
        shards = [self._shard_of(source) for source in decided.sources]
        # Taken out, since others drain the list while the commit is under way.
        clearing, self.confirmed = self.confirmed, []
        self._at("before_commit")
        began_ns = time_ns() if traces.is_on() else 0
        self._is_committing = True
        try:
            result = await append(
                conn,
                AppendBatch(
                    events=decided.events,
                    inbox=decided.inbox,
                    snapshots=self._cache.snapshots(actors, before, decided.events),
                    module=self._module,
                    owner=self._owner,
                    shards=shards,
                    confirmed=clearing,
                    fence=fence,
                ),
            )
        except BaseException:
            self.confirmed = clearing + self.confirmed
            raise
        self._is_committing = False
        self._at("after_commit")
        if began_ns:
            for source in {id(source): source for source in decided.sources}.values():
                traces.record(f"commit {source.envelope.type}", source.traceparent, began_ns)
        committed.positions, committed.outbox, committed.at = result.positions, result.outbox, result.at
        for reply in decided.replies:
            if reply.last_event is not None:
                reply.outcome = _at_position(reply.outcome, result.positions[reply.last_event])

    def _outcome(self, reply: bytes, position: int) -> Outcome:
        outcome = self._registry.codec(Outcome).decode_binary(reply)
        return _at_position(outcome, position) if position else outcome

    async def _connected(self) -> AsyncConnection[Any]:
        conn = self._connection
        if conn is None or conn.closed:
            conn = self._connection = await self._connect()
        return conn

    async def _drop_connection(self) -> None:
        if self._connection is not None:
            await self._connection.close()
            self._connection = None


def _at_position(outcome: Outcome, position: int) -> Outcome:
    return Outcome(
        status=outcome.status,
        code=outcome.code,
        message=outcome.message,
        details=outcome.details,
        command_id=outcome.command_id,
        actor=outcome.actor,
        version=outcome.version,
        position=position,
        events=outcome.events,
    )


def _refused_by_store(incoming: Incoming, error: psycopg.Error) -> Refused:
    message = f"the store refused what {incoming.envelope.type} led to: {error}"
    return Refused(incoming.delivery, incoming.envelope, RefusedByStore.code, message)
