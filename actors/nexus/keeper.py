"""The keeper: takes dead letters off their queues, keeps the originals, and has each recorded by an actor of its own.

Each step is safe before the next one: what the broker moved there gets an id and is put back (confirmed), then the
originals are in the store (committed), then a command to each one's actor is at the broker (confirmed), and only then
are they acknowledged. All of it may be repeated. Several processes may do it at once, and while a server is away the
letters wait in their queues.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from typing import Any

import psycopg
from psycopg import AsyncConnection

from actors.nexus.commanding import Commanding
from actors.nexus.crowds import Crowds
from actors.nexus.letters import Letter, new_letter, read_letter, readable_properties, stamped
from actors.nexus.reasons import policy_of
from datapunk.broker.channel import Channel
from datapunk.broker.dead_letter import DEAD_SUFFIX
from datapunk.broker.deliveries import Deliveries, Delivery, settle
from datapunk.broker.link import Link
from datapunk.broker.properties import Properties
from datapunk.broker.topology import UNROUTABLE_DEAD_QUEUE
from datapunk.ending import end
from datapunk.errors import BrokerError, UnencodableMessage
from datapunk.hook import Hook, nowhere
from datapunk.messages.registry import Registry
from datapunk.resting import rest
from datapunk.settings import Settings
from datapunk.store.connection import connect
from datapunk.store.originals import keep, known_redrives, module_names, settle_redrives
from datapunk.telemetry import traces
from datapunk.telemetry.logs import get_logger
from schemas.nexus.commands import FailDeadLetterAgain, ParkDeadLetter, ResolveDeadLetter

BATCH, BATCH_WAIT_S = 500, 0.02
PREFETCH = 1000  # of each queue
LOOK_S = 5.0  # between two looks for new modules
RETRY_FIRST_S, RETRY_MOST_S = 0.2, 10.0  # pauses while a server is away
# Commands by which letters are recorded: recorded as letters themselves, they'd go round for ever.
OWN = frozenset(kind.message_type for kind in (ParkDeadLetter, FailDeadLetterAgain, ResolveDeadLetter))

log = get_logger(__name__)


class Keeper:
    """Runs in each worker of Nexus.

    Args:
        settings: of the process.
        registry: encodes.
        at: told where it is: `keeper_kept`, `keeper_sent`.
    """

    def __init__(self, settings: Settings, registry: Registry, at: Hook = nowhere) -> None:
        self._settings = settings
        self._commanding = Commanding(registry, "nexus.keeper")
        self._at = at
        self._crowds = Crowds(settings.dead_letter_crowd)

    async def run(self, stop: asyncio.Event) -> None:
        """Work until told to stop."""
        pause = RETRY_FIRST_S
        while not stop.is_set():
            try:
                await self._session(stop)
                pause = RETRY_FIRST_S
            except (BrokerError, psycopg.OperationalError, psycopg.InterfaceError, OSError) as error:
                log.warning("keeper_waits", retry_in_s=pause, detail=str(error))
                await rest(pause, stop)
                pause = min(pause * 2, RETRY_MOST_S)

    async def _session(self, stop: asyncio.Event) -> None:
        async with AsyncExitStack() as stack:
            link = await Link.open(self._settings.broker_url, name="nexus.keeper")
            stack.push_async_callback(link.close)
            conn = await connect(self._settings.database_url)
            stack.push_async_callback(conn.close)
            side = await connect(self._settings.database_url)
            stack.push_async_callback(side.close)
            outlet = await link.channel(confirms=True)
            intake = Deliveries()
            tasks: set[asyncio.Task[Any]] = {
                asyncio.create_task(self._keep(intake, outlet, conn), name="keep"),
                asyncio.create_task(self._find_queues(link, intake, side), name="queues"),
            }
            stopping = asyncio.create_task(stop.wait())
            try:
                done, _ = await asyncio.wait({*tasks, stopping}, return_when=asyncio.FIRST_COMPLETED)
                for task in done - {stopping}:
                    task.result()
            finally:
                await end({*tasks, stopping})

    async def _find_queues(self, link: Link, intake: Deliveries, conn: AsyncConnection[Any]) -> None:
        """Consume the dead letters of all modules that were ever set up; now and then there's a new one."""
        consumed: set[str] = set()
        while True:
            wanted = {UNROUTABLE_DEAD_QUEUE, *(f"{name}{DEAD_SUFFIX}" for name in await module_names(conn))}
            for queue in sorted(wanted - consumed):
                channel = await link.channel(prefetch=PREFETCH, deliveries=intake)
                try:
                    await channel.consume(queue, queue)
                except BrokerError as error:  # it's being set up, or was on another broker: look again
                    log.info("no_such_queue", queue=queue, detail=str(error))
                else:
                    consumed.add(queue)
            await asyncio.sleep(LOOK_S)

    async def _keep(self, intake: Deliveries, outlet: Channel, conn: AsyncConnection[Any]) -> None:
        while True:
            await self._keep_batch(await intake.take(BATCH, BATCH_WAIT_S), outlet, conn)

    async def _keep_batch(self, deliveries: Sequence[Delivery], outlet: Channel, conn: AsyncConnection[Any]) -> None:
        found: list[tuple[Letter, Delivery]] = []
        unsent: list[Letter] = []
        for delivery in deliveries:
            properties = readable_properties(delivery)
            letter = read_letter(delivery, properties)
            delivery.unreadable = ""  # it's kept here, and need not go back to the broker
            if letter is not None:
                found.append((letter, delivery))
            elif properties is not None:
                unsent += _put_back(outlet, delivery, stamped(delivery, properties))
        strangers = await self._keep_originals(conn, [letter for letter, _ in found])
        for letter, delivery in found:
            if letter in strangers:
                unsent += _put_back(outlet, delivery, stamped(delivery, letter.properties, is_known=False))
        if unsent:
            await keep(conn, [letter.original for letter in unsent])
        self._at("keeper_kept")
        letters = [*(letter for letter, _ in found if letter not in strangers), *unsent]
        for letter in letters:
            self._record(outlet, letter)
        await outlet.confirmed(outlet.flush())
        self._at("keeper_sent")
        if again := [(letter.original.id, letter.attempt) for letter in letters if letter.attempt]:
            await settle_redrives(conn, again)
        settle(deliveries)

    async def _keep_originals(self, conn: AsyncConnection[Any], letters: Sequence[Letter]) -> set[Letter]:
        """Keep them; returns those that have another letter's id, or that of an attempt nobody made.

        One whose id derives from it has no other's: if it's kept already, it was put aside twice.
        """
        first = [letter for letter in letters if not letter.attempt]
        again = [letter for letter in letters if letter.attempt]
        others = await keep(conn, [letter.original for letter in first]) if first else []
        known = await known_redrives(conn, [(each.original.id, each.attempt) for each in again]) if again else set()
        return {letter for letter in first if letter.original in others and not letter.is_derived} | {
            letter for letter in again if (letter.original.id, letter.attempt) not in known
        }

    def _record(self, outlet: Channel, letter: Letter) -> None:
        tenant = self._settings.default_tenant
        type = letter.properties.type or ""
        traceparent = traces.traceparent_of(letter.properties.headers)
        if type in OWN and letter.module == "nexus":
            log.error("dead_letter_unrecorded", id=str(letter.original.id), type=type, detail=letter.message)
            return
        if letter.attempt:
            command = FailDeadLetterAgain(
                attempt=letter.attempt, reason=letter.reason, message=letter.message, failed_at=letter.died_at
            )
        else:
            policy = policy_of(letter.reason, type, self._settings.dead_letter_retries)
            described = letter.described(policy)
            place = self._crowds.joins((described.module, described.type, described.reason))
            command = ParkDeadLetter(
                letter=described,
                retry=policy.retry,
                is_crowded=place > 0,
                crowd=f"{datetime.now(UTC):%Y-%m-%dT%H:%M}" if place == 1 else None,
            )
        self._commanding.put(outlet, command, letter.original.id, tenant, traceparent)


def _put_back(outlet: Channel, delivery: Delivery, properties: Properties) -> list[Letter]:
    """Into the same queue, with an id, to come again; what can't be written again is a letter at once."""
    try:
        outlet.publish("", delivery.consumer_tag, properties, delivery.body)
    except UnencodableMessage:
        return [new_letter(delivery.consumer_tag, properties, delivery.body)]
    return []
