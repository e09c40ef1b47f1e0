"""Follows the event store for subscriptions, and hands what each wants to delivery.

One dispatcher is active at a time. Each subscription has a checkpoint of its own; it moves only once the broker has
confirmed the tasks of all events up to it, so that nothing is lost wherever a process dies. What was handed over and
not yet remembered is handed over again: at least once, and receivers know it by its `webhook-id`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from time import monotonic
from typing import Any

import psycopg
from psycopg import AsyncConnection
from redis.asyncio import Redis
from redis.exceptions import RedisError

from datapunk.broker.channel import Channel
from datapunk.broker.link import Link
from datapunk.broker.properties import PERSISTENT, Properties
from datapunk.broker.topology import task_queue
from datapunk.errors import BrokerError
from datapunk.followers import Followers
from datapunk.hook import Hook
from datapunk.messages.pattern import Pattern
from datapunk.messages.registry import Registry
from datapunk.resting import rest
from datapunk.settings import Settings
from datapunk.store.connection import connect
from datapunk.store.events import RecordedEvent
from datapunk.store.feeds import Checkpoint
from datapunk.store.read import read_all, safe_position
from datapunk.tasks.encoding import AvroEncoder, message_of
from datapunk.telemetry.logs import get_logger
from schemas.nexus.tasks import DeliverEvent
from tasks.nexus.settings import WebhookSettings
from tasks.nexus.subscriptions import FEED, Wanted, feeds, wanted_now
from tasks.nexus.under_way import UnderWay, patient_url, prefix_of

MODULE = "nexus"
BATCH = 500  # events read at a time
POLL_S = 0.25  # between two looks for new events
FULL_S = 0.05  # between two looks whether a subscription has room again
RELOAD_S = 1.0  # between two looks for new subscriptions
REMEMBER_S = 1.0  # how often it's remembered how far events were passed over
RETRY_S = 1.0  # pause while a server is away

log = get_logger(__name__)


def dispatchers(settings: Settings, registry: Registry, at: Hook) -> Followers:
    """The dispatcher as a service of workers: each may run it, one does."""
    return Followers(FEED, settings, [MODULE], {FEED: lambda: Dispatcher(settings, registry, at)})


@dataclass(slots=True)
class Feed:
    """A subscription at work.

    Attributes:
        pattern: which events.
        remembered: its checkpoint as the database has it.
        position: how far it has come.
    """

    pattern: Pattern
    remembered: Checkpoint
    position: int

    def wants(self, event: RecordedEvent) -> bool:
        """Whether this is one of its events."""
        return event.tenant == self.remembered.tenant and self.pattern.matches(event.stream, event.type)


class Dispatcher:
    """Hands events to delivery, for all subscriptions.

    Args:
        settings: of the process.
        registry: knows the schema of what is handed over.
        at: told where it is.
    """

    def __init__(self, settings: Settings, registry: Registry, at: Hook) -> None:
        self._settings = settings
        self._own = WebhookSettings()
        self._encoder = AvroEncoder(registry)
        self._at = at
        self._wake = asyncio.Event()
        self._feeds: list[Feed] = []
        self._loaded_at = self._remembered_at = float("-inf")

    def wake(self) -> None:
        """There may be another subscription."""
        self._loaded_at = float("-inf")
        self._wake.set()

    async def run(self, stop: asyncio.Event) -> None:
        """Dispatch until told to stop, however long servers are away."""
        while not stop.is_set():
            try:
                await self._work(stop)
            except (psycopg.Error, BrokerError, RedisError, OSError) as error:
                log.warning("dispatcher_waits", retry_in_s=RETRY_S, detail=f"{type(error).__name__}: {error}")
                await rest(RETRY_S, stop)

    async def _work(self, stop: asyncio.Event) -> None:
        self._feeds, self._loaded_at = [], float("-inf")
        redis = Redis.from_url(patient_url(self._settings.redis_url))
        link = await Link.open(self._settings.broker_url, name=FEED)
        try:
            async with await connect(self._settings.database_url) as conn:
                channel = await link.channel(confirms=True)
                under_way = UnderWay(redis, prefix_of(self._settings.database_url))
                while not stop.is_set():
                    self._wake.clear()
                    pause_s = await self._round(conn, channel, under_way)
                    if pause_s:
                        await rest(pause_s, self._wake)
        finally:
            await link.close()
            await redis.aclose()

    async def _round(self, conn: AsyncConnection[Any], channel: Channel, under_way: UnderWay) -> float:
        """Move all subscriptions on by a batch; returns for how long to pause, in seconds."""
        if monotonic() - self._loaded_at > RELOAD_S:
            await self._load(conn)
        if not self._feeds:
            return POLL_S
        safe = await safe_position(conn)
        # Types are registered before the first event of theirs: a list that is younger than `safe` has them all.
        types = await _event_types(conn)
        is_full = False
        groups: dict[int, list[tuple[Feed, int]]] = {}
        behind = [feed for feed in self._feeds if feed.position < safe]
        for feed, room in zip(behind, await self._rooms(behind, under_way), strict=True):
            is_full |= room <= 0
            if room > 0:
                groups.setdefault(feed.position, []).append((feed, room))
        is_behind = False
        for position, group in groups.items():
            is_behind |= await self._move(conn, channel, under_way, position, group, safe, types)
        if is_behind or monotonic() - self._remembered_at > REMEMBER_S:
            await self._remember(conn)
        return 0 if is_behind else FULL_S if is_full else POLL_S

    async def _move(
        self,
        conn: AsyncConnection[Any],
        channel: Channel,
        under_way: UnderWay,
        position: int,
        group: Sequence[tuple[Feed, int]],
        safe: int,
        types: Sequence[str],
    ) -> bool:
        """Move on those subscriptions that have come equally far; True if there may be more right away."""
        tenants = {feed.remembered.tenant for feed, _ in group}
        events, reached = await read_all(
            conn,
            position,
            BATCH,
            types=[type for type in types if any(feed.pattern.may_mean(type) for feed, _ in group)],
            tenant=tenants.pop() if len(tenants) == 1 else None,
            until=safe,
        )
        moved: list[tuple[Feed, int]] = []
        count = 0
        for feed, room in group:
            wanted = [event for event in events if feed.wants(event)]
            chosen = wanted[:room]
            moved.append((feed, reached if len(chosen) == len(wanted) else chosen[-1].position))
            if chosen:
                tenant, id = feed.remembered.tenant, feed.remembered.receiver
                await under_way.add(tenant, id, [event.position for event in chosen])
                for event in chosen:
                    self._hand_over(
                        channel,
                        DeliverEvent(tenant=tenant, subscription=id, position=event.position, event=event.id),
                        event,
                    )
                count += len(chosen)
        if count:
            await channel.confirmed(channel.flush())
            if channel.returned:
                channel.returned.clear()
                raise BrokerError(f"queue {task_queue(MODULE)} isn't there; is a process of {MODULE} set up?")
            self._at("after_hand_over")
        for feed, where in moved:
            feed.position = where
        return count > 0 or reached < safe

    def _hand_over(self, channel: Channel, task: DeliverEvent, event: RecordedEvent) -> None:
        traceparent = event.metadata.get("traceparent")
        message = message_of(MODULE, task, **({"traceparent": traceparent} if traceparent else {}))
        properties = Properties(
            content_type="application/json",
            headers={"tenant": task.tenant},
            delivery_mode=PERSISTENT,
            message_id=message.message_id,
            type=task.message_type,
            app_id="datapunk",
        )
        channel.publish("", message.queue_name, properties, self._encoder.encode(message.asdict()), mandatory=True)

    async def _rooms(self, feeds: Sequence[Feed], under_way: UnderWay) -> list[int]:
        """How many more deliveries of each subscription may be under way."""
        counts = await under_way.counts([(feed.remembered.tenant, feed.remembered.receiver) for feed in feeds])
        return [min(self._own.window - all_of_them, self._own.burst - active) for all_of_them, active in counts]

    async def _remember(self, conn: AsyncConnection[Any]) -> None:
        """Move the checkpoints in the database to where the subscriptions are."""
        moves = {feed.remembered: feed.position for feed in self._feeds if feed.position > feed.remembered.position}
        if moves:
            await feeds.move(conn, moves)
            for feed in self._feeds:
                if feed.remembered in moves:
                    feed.remembered = replace(feed.remembered, position=feed.position)
        self._remembered_at = monotonic()

    async def _load(self, conn: AsyncConnection[Any]) -> None:
        """Take up what subscriptions there are now, each where it stands."""
        await self._remember(conn)
        wanted = await wanted_now(conn)
        known = await self._checkpoints(conn)
        new = [each for each in wanted if _is_new(each, known.get((each.tenant, each.id)))]
        for each in new:
            await feeds.start(conn, each.tenant, each.id, each.start_after, each.started_by)
        if new:
            known = await self._checkpoints(conn)
        checkpoints = [(each, known[each.tenant, each.id]) for each in wanted]
        self._feeds = [Feed(Pattern(each.pattern), checkpoint, checkpoint.position) for each, checkpoint in checkpoints]
        self._loaded_at = monotonic()

    async def _checkpoints(self, conn: AsyncConnection[Any]) -> dict[tuple[str, str], Checkpoint]:
        return {(each.tenant, each.receiver): each for each in await feeds.checkpoints(conn)}


def _is_new(wanted: Wanted, checkpoint: Checkpoint | None) -> bool:
    return checkpoint is None or checkpoint.started_by < wanted.started_by


async def _event_types(conn: AsyncConnection[Any]) -> list[str]:
    cursor = await conn.execute("select distinct name from schemas")
    return [name for (name,) in await cursor.fetchall()]
