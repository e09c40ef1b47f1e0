"""The redriver: publishes dead letters again once `DeadLetterRedriven` says so, and tells what came of them.

It follows the store from a checkpoint, in one process at a time. What it publishes it may publish again after a crash:
a command has the id that it had, by which the inbox knows it. A command that was decided is found in the inbox; of a
task that was performed, who did so has told; what failed comes back by the dead letters. Of anything else it's enough
that a queue took it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from typing import Any, cast
from uuid import UUID

import psycopg
from pamqp import commands as amqp
from psycopg import AsyncConnection

from actors.nexus.commanding import Commanding
from actors.nexus.republishing import Again, NotPublishable, published_again
from datapunk.broker.channel import Channel
from datapunk.broker.link import Link
from datapunk.errors import BrokerError, UnencodableMessage, Unroutable
from datapunk.followers import Followers
from datapunk.hook import Hook, nowhere
from datapunk.messages.codec import AVRO_BINARY
from datapunk.messages.outcome import Outcome, Status
from datapunk.messages.registry import Registry
from datapunk.resting import rest
from datapunk.settings import Settings
from datapunk.store.connection import connect
from datapunk.store.events import RecordedEvent
from datapunk.store.followers import enter_follower, follower_position, move_follower
from datapunk.store.originals import (
    handled_redrives,
    original_sizes,
    originals_of,
    performed_redrives,
    record_redrives,
    settle_redrives,
)
from datapunk.store.read import read_all, read_stream
from datapunk.telemetry.logs import get_logger
from schemas.nexus.commands import FailDeadLetterAgain, ResolveDeadLetter
from schemas.nexus.events import DeadLetterEdited, DeadLetterRedriven
from schemas.nexus.types import DeadLetterResult

NAME = "nexus.redriver"
BATCH = 100  # letters published at a time
MAX_BYTES = 32 * 1024 * 1024  # of their bodies; one alone may have more
TOLD = 500  # letters whose end is told at a time
POLL_S = 0.5  # longest pause between two looks at the inbox
RETRY_FIRST_S, RETRY_MOST_S = 0.2, 10.0  # pauses while a server is away
NOT_PUBLISHABLE = "not_publishable"  # the reason of what can't be published again

log = get_logger(__name__)


class Redriving:
    """Runs in each worker of Nexus: it shares out the one redriver there is."""

    def __init__(self, settings: Settings, registry: Registry, at: Hook = nowhere) -> None:
        self._settings = settings
        self._followers = Followers(
            "nexus.redrives", settings, ["nexus"], {NAME: lambda: Redriver(settings, registry, at)}
        )

    async def run(self, stop: asyncio.Event) -> None:
        """Work until told to stop."""
        async with await connect(self._settings.database_url) as conn:
            await enter_follower(conn, NAME, history=True)
        await self._followers.run(stop)


class Redriver:
    """Whoever holds its lease runs it.

    Args:
        settings: of the process.
        registry: encodes and decodes.
        at: told where it is: `redriver_published`.
    """

    def __init__(self, settings: Settings, registry: Registry, at: Hook = nowhere) -> None:
        self._settings = settings
        self._registry = registry
        self._at = at
        self._commanding = Commanding(registry, NAME)
        self._wake = asyncio.Event()

    def wake(self) -> None:
        """There may be new events."""
        self._wake.set()

    async def run(self, stop: asyncio.Event) -> None:
        """Work until told to stop."""
        pause = RETRY_FIRST_S
        while not stop.is_set():
            try:
                await self._session(stop)
                pause = RETRY_FIRST_S
            except (BrokerError, psycopg.OperationalError, psycopg.InterfaceError, OSError) as error:
                log.warning("redriver_waits", retry_in_s=pause, detail=str(error))
                await rest(pause, stop)
                pause = min(pause * 2, RETRY_MOST_S)

    async def _session(self, stop: asyncio.Event) -> None:
        async with AsyncExitStack() as stack:
            link = await Link.open(self._settings.broker_url, name=NAME)
            stack.push_async_callback(link.close)
            conn = await connect(self._settings.database_url)
            stack.push_async_callback(conn.close)
            outlet = await link.channel(confirms=True)
            position = await follower_position(conn, NAME)
            while not stop.is_set():
                self._wake.clear()
                events, reached = await read_all(conn, position, BATCH, types=[DeadLetterRedriven.message_type])
                if events:
                    await self._registry.learn_of(conn, events)
                    for run in await _bearable(conn, events):
                        await self._publish(conn, link, outlet, run)
                if reached > position:
                    await move_follower(conn, NAME, reached)
                    position = reached
                told = await self._tell(conn, outlet)
                if len(events) < BATCH and told < TOLD:
                    await rest(POLL_S, stop, self._wake)

    async def _publish(
        self, conn: AsyncConnection[Any], link: Link, outlet: Channel, events: Sequence[RecordedEvent]
    ) -> None:
        """Remember the attempts, publish them, and tell what is known at once."""
        originals = await originals_of(conn, [UUID(event.actor) for event in events])
        tellings: list[tuple[RecordedEvent, FailDeadLetterAgain | ResolveDeadLetter]] = []
        ready: list[tuple[RecordedEvent, Again]] = []
        are_there: dict[str, bool] = {}
        for event in events:
            redriven = cast(DeadLetterRedriven, self._decoded(event))
            original = originals.get(UUID(event.actor))
            edit = await self._edit(conn, event, redriven.edit_version) if redriven.edit_version else None
            try:
                if original is None:
                    raise NotPublishable("its original isn't kept (any more)")
                again = published_again(original, redriven.attempt, edit, self._settings)
                if again.exchange not in are_there:
                    are_there[again.exchange] = await _is_there(link, again.exchange)
                if not are_there[again.exchange]:
                    raise NotPublishable(f"there is no exchange {again.exchange}; does its module run here?")
                outlet.publish(again.exchange, again.routing_key, again.properties, again.body, mandatory=True)
            except (NotPublishable, UnencodableMessage) as problem:
                tellings.append((event, _failed(redriven.attempt, NOT_PUBLISHABLE, str(problem))))
            else:
                ready.append((event, again))
        if ready:
            await record_redrives(conn, [again.redrive for _, again in ready])
        await outlet.confirmed(outlet.flush())
        self._at("redriver_published")
        returned = {(each.properties.headers or {}).get("dead-id") for each in outlet.returned}
        outlet.returned.clear()
        for event, again in ready:
            if event.actor in returned:
                problem = f"no queue took it from the exchange {again.exchange!r} with the key {again.routing_key!r}"
                tellings.append((event, _failed(again.redrive.attempt, Unroutable.code, problem)))
            elif not again.is_told:
                resolved = ResolveDeadLetter(attempt=again.redrive.attempt, result=DeadLetterResult.Published)
                tellings.append((event, resolved))
        for event, command in tellings:
            traceparent = event.metadata.get("traceparent")
            self._commanding.put(outlet, command, UUID(event.actor), event.tenant, traceparent)
        await outlet.confirmed(outlet.flush())

    async def _edit(self, conn: AsyncConnection[Any], event: RecordedEvent, version: int) -> DeadLetterEdited:
        edits = await read_stream(conn, event.tenant, event.stream, from_version=version, limit=1)
        await self._registry.learn_of(conn, edits)
        edit = self._decoded(edits[0])
        assert isinstance(edit, DeadLetterEdited)  # the actor said so
        return edit

    async def _tell(self, conn: AsyncConnection[Any], outlet: Channel) -> int:
        """Look for commands and tasks that were handled meanwhile; returns for how many there was news."""
        handled = await handled_redrives(conn, TOLD)
        performed = await performed_redrives(conn, TOLD)
        if not handled and not performed:
            return 0
        for each in handled:
            if each.is_same:  # else the id was another command's, and this one comes back by the dead letters
                outcome = self._registry.codec(Outcome).decode_binary(each.reply)
                is_accepted = outcome.status is Status.Accepted
                command = ResolveDeadLetter(
                    attempt=each.attempt,
                    result=DeadLetterResult.Accepted if is_accepted else DeadLetterResult.Rejected,
                    code=outcome.code,
                    message=outcome.message,
                )
                self._commanding.put(outlet, command, each.original, self._settings.default_tenant)
        for original, attempt in performed:
            resolved = ResolveDeadLetter(attempt=attempt, result=DeadLetterResult.Published)
            self._commanding.put(outlet, resolved, original, self._settings.default_tenant)
        await outlet.confirmed(outlet.flush())
        await settle_redrives(conn, [*((each.original, each.attempt) for each in handled), *performed])
        return max(len(handled), len(performed))

    def _decoded(self, event: RecordedEvent) -> object:
        return self._registry.decode(event.type, event.data, AVRO_BINARY, event.schema)


def _failed(attempt: int, reason: str, message: str) -> FailDeadLetterAgain:
    return FailDeadLetterAgain(attempt=attempt, reason=reason, message=message, failed_at=datetime.now(UTC))


async def _bearable(conn: AsyncConnection[Any], events: Sequence[RecordedEvent]) -> list[list[RecordedEvent]]:
    """Runs of events whose originals are no more than can be held at a time."""
    sizes = await original_sizes(conn, [UUID(event.actor) for event in events])
    runs: list[list[RecordedEvent]] = []
    held = MAX_BYTES + 1  # so that the first one begins a run
    for event in events:
        size = sizes.get(UUID(event.actor), 0)
        if held + size > MAX_BYTES:
            runs.append([])
            held = 0
        runs[-1].append(event)
        held += size
    return [run for run in runs if run]


async def _is_there(link: Link, exchange: str) -> bool:
    """Whether there's such an exchange: publishing to one that isn't ends the channel."""
    if not exchange:
        return True
    channel = await link.channel()
    try:
        await channel.ask(amqp.Exchange.Declare(exchange=exchange, passive=True))
        await channel.close()
    except BrokerError:
        if link.closed.done():
            raise
        return False
    return True
