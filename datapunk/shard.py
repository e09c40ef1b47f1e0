"""The engine: commands from a module's shards → actors → Postgres → events and replies, in group commits.

A batch goes through intake and settling (one transaction), is published in one write, and is acknowledged once
the broker has confirmed the last of its events; meanwhile the next batch is under way. Nothing is acknowledged
before it's durable and published, so a crash at any point leads to redelivery, the inbox recognises what was
done, and the outbox republishes what was committed and not confirmed. Recovery is the way every start takes:
a lost connection ends the session and the next one begins there.

The shards of a process are spread over a few lanes, each with its own batches and its own connection to Postgres:
while one waits for its commit, another decides.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import psycopg
from psycopg import AsyncConnection

from datapunk.actor_cache import ActorCache
from datapunk.announcing import Announcer
from datapunk.broker.channel import Channel
from datapunk.broker.dead_letter import count_unreadable
from datapunk.broker.deliveries import Deliveries, Delivery, settle
from datapunk.broker.direct_replies import DirectReplies
from datapunk.broker.link import Link
from datapunk.broker.replies import Replies
from datapunk.broker.topology import command_queue
from datapunk.ending import end
from datapunk.errors import BrokerError, OwnershipLost
from datapunk.hook import Hook, nowhere
from datapunk.incoming import Incoming, Intake, Refused
from datapunk.membership import Membership
from datapunk.messages.registry import Registry
from datapunk.module import Module
from datapunk.observing import BatchObserver, ShardGauges, Stopwatch
from datapunk.resting import rest
from datapunk.settings import Settings
from datapunk.settling import Committed, CommitUncertain, Settler
from datapunk.store.connection import connect
from datapunk.store.leases import Fence
from datapunk.store.outbox import delete as delete_outbox
from datapunk.telemetry import metrics
from datapunk.telemetry.logs import get_logger

LANES = 2  # more add transactions, and one process decides on one core anyway
UNCONFIRMED_BATCHES = 4  # batches published and not yet confirmed; more only add latency
SWEEP_S = 5.0  # how often confirmed outbox rows are cleared, and forgotten ones looked for, when idle
MEASURE_S = 5.0  # between two looks at how full the queues are
RETRY_FIRST_S, RETRY_MOST_S = 0.2, 3.0  # pauses between sessions; the first again once one has worked
GRACE_S = 20.0  # for the batches under way when told to stop
AWAY = (BrokerError, psycopg.OperationalError, psycopg.InterfaceError, OSError)  # a server, for now

log = get_logger(__name__)


@dataclass(slots=True)
class Lane:
    """Some of the shards of a process, whose commands are decided in the same batches, one batch after another."""

    deliveries: Deliveries
    settler: Settler


@dataclass(slots=True)
class Published:
    """A batch that was written to the broker; `tag` is its last publish, `deliveries` are what it answers."""

    lane: Lane
    committed: list[Committed]
    tag: int
    deliveries: list[Delivery]
    since: Stopwatch


class ShardEngine:
    """Runs one module's share of shards in one process.

    Args:
        module: whose commands.
        registry: encodes and decodes.
        settings: broker, database, batch sizes.
        membership: decides which shards are this process's.
        at: told where the engine is.
    """

    def __init__(
        self,
        module: Module,
        registry: Registry,
        settings: Settings,
        membership: Membership,
        at: Hook = nowhere,
    ) -> None:
        self._module = module
        self._registry = registry
        self._settings = settings
        self._membership = membership
        self._at = at
        self._intake = Intake(module, registry, settings)
        self._caches = [
            ActorCache(
                module, registry, capacity=-(-settings.cached_actors // LANES), snapshot_every=settings.snapshot_every
            )
            for _ in range(LANES)
        ]
        self._announcer = Announcer(module, registry)
        self._direct = DirectReplies(settings.broker_url, f"{module.name}.shards")
        self._owned: set[int] = set()
        self._settled = asyncio.Event()
        self._pause = RETRY_FIRST_S
        self._observer = BatchObserver(module)
        self._gauges = ShardGauges(module)
        self._batch_size = metrics.SHARD_BATCH_SIZE.labels(module=module.name)
        self._shards_owned = metrics.SHARDS_OWNED.labels(module=module.name)

    async def run(self, stop: asyncio.Event) -> None:
        """Work until told to stop; then finish the batch under way and give the shards back."""
        async with self._direct:
            await self._sessions(stop)

    async def _sessions(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            try:
                await self._session(stop)
            except (*AWAY, OwnershipLost, CommitUncertain) as error:
                self._at("session_ended")
                log.warning("session_ended", module=self._module.name, retry_in_s=self._pause, detail=str(error))
                await rest(self._pause, stop)
                self._pause = min(self._pause * 2, RETRY_MOST_S)

    async def _session(self, stop: asyncio.Event) -> None:
        """From connecting and recovering to the first thing that breaks."""
        self._forget_actors()
        self._owned.clear()
        async with AsyncExitStack() as stack:
            try:
                consuming = await Link.open(self._settings.broker_url, name=f"{self._module.name}.consume")
                stack.push_async_callback(consuming.close)
                publishing = await Link.open(self._settings.broker_url, name=f"{self._module.name}.publish")
                stack.push_async_callback(publishing.close)
            except BrokerError:  # it may be this process alone that doesn't reach it
                await self._membership.stand_back()
                raise
            outlet = await publishing.channel(confirms=True)
            replies = Replies(await publishing.channel(), self._direct)
            fence = Fence(self._membership.group, self._membership.id, {})
            lanes = [Lane(Deliveries(), self._settler(cache, fence)) for cache in self._caches]
            for lane in lanes:
                stack.push_async_callback(lane.settler.close)
            side = await connect(self._settings.database_url)
            stack.push_async_callback(side.close)
            waiting: asyncio.Queue[Published] = asyncio.Queue(UNCONFIRMED_BATCHES)
            session = _Session(consuming, lanes, {}, fence, outlet, replies, side, waiting)
            tasks: set[asyncio.Task[Any]] = {
                *(asyncio.create_task(self._commit_batches(session, lane), name="commit") for lane in lanes),
                asyncio.create_task(self._complete_batches(session), name="complete"),
                asyncio.create_task(self._follow_membership(session), name="membership"),
                asyncio.create_task(self._sweep(session), name="sweep"),
                asyncio.create_task(self._measure(consuming, session.side), name="measure"),
            }
            stopping = asyncio.create_task(stop.wait(), name="stop")
            try:
                done, _ = await asyncio.wait({*tasks, stopping}, return_when=asyncio.FIRST_COMPLETED)
                if done == {stopping}:
                    tasks.add(giving := asyncio.create_task(self._give_everything_back(session)))
                    done, _ = await asyncio.wait(tasks, timeout=GRACE_S, return_when=asyncio.FIRST_COMPLETED)
                    if not done:  # what wasn't acknowledged is delivered again, to whoever comes next
                        log.warning("stopped_in_the_middle", module=self._module.name, waited_s=GRACE_S)
                    if giving in done:
                        await self._membership.leave()
                for task in done - {stopping}:
                    task.result()
            finally:
                await end({*tasks, stopping})

    def _settler(self, cache: ActorCache, fence: Fence) -> Settler:
        return Settler(
            self._module.name,
            self._registry,
            cache,
            connect=lambda: connect(self._settings.database_url, writer=True),
            shard_of=lambda incoming: _shard(incoming.delivery),
            fence_of=fence.of,
            owner=self._membership.id,
            at=self._at,
        )

    def _forget_actors(self) -> None:
        for cache in self._caches:
            cache.clear()

    async def _commit_batches(self, session: _Session, lane: Lane) -> None:
        """Take what is there, decide it, commit it, write its events to the broker; and again."""
        while True:
            deliveries = await lane.deliveries.take(self._settings.batch_commands, self._settings.batch_wait_ms / 1000)
            self._batch_size.observe(len(deliveries))
            commands: list[Incoming] = []
            refused: list[Refused] = []
            received_at = datetime.now(UTC)
            for delivery in deliveries:
                if delivery.unreadable:  # the broker keeps it: what can't be read can't be published either
                    count_unreadable(self._module.name, delivery)
                    continue
                read = self._intake.read(delivery, received_at)
                if isinstance(read, Incoming):
                    commands.append(read)
                else:
                    refused.append(read)
            session.under_way += 1
            committed = await lane.settler.settle(commands, refused)
            since = Stopwatch()
            tag = self._announcer.publish(session.outlet, committed)
            self._at("after_publish")
            await session.waiting.put(Published(lane, committed, tag, deliveries, since))

    async def _complete_batches(self, session: _Session) -> None:
        """Once the broker has a batch's events: reply, then acknowledge, in order."""
        while True:
            published = await session.waiting.get()
            await session.outlet.confirmed(published.tag)
            self._at("after_confirm")
            self._observer.published(published.committed, published.since)
            since = Stopwatch()
            self._announcer.bury_returned(session.replies, session.outlet)
            self._announcer.reply(session.replies, published.committed)
            self._observer.replied(published.committed, since)
            for committed in published.committed:
                published.lane.settler.confirmed.extend(committed.outbox)
            self._at("before_ack")
            settle(published.deliveries)
            self._settled.set()
            session.under_way -= 1
            self._pause = RETRY_FIRST_S

    async def _follow_membership(self, session: _Session) -> None:
        """Consume the shards that are ours, and give back those that aren't any more."""
        async for change in self._membership.changes():
            if change.lost:
                raise OwnershipLost(f"{self._module.name}: {change.reason}")
            async with session.changing:
                await self._give_back(session, {int(item) for item in change.release} & self._owned)
                if not session.is_stopping:
                    await self._take_over(session, {int(item) for item in change.gained} - self._owned)

    async def _give_everything_back(self, session: _Session) -> None:
        session.is_stopping = True
        async with session.changing:  # a shard may be on its way to us, or to others
            await self._give_back(session, set(self._owned))

    async def _take_over(self, session: _Session, shards: set[int]) -> None:
        if not shards:
            return
        # First of all: after this nobody commits in these shards any more who decided before.
        await session.fence.begin_epoch(session.side, shards)
        self._at("epoch_begun")
        self._forget_actors()
        await self._announcer.recover(session.side, session.outlet, shards)
        self._at("after_recovery")
        for shard in sorted(shards):
            lane = session.emptiest_lane()
            channel = await session.consuming.channel(prefetch=self._settings.prefetch, deliveries=lane.deliveries)
            await channel.consume(command_queue(self._module.name, shard), str(shard))
            session.intakes[shard] = channel
        self._owned |= shards
        self._shards_owned.set(len(self._owned))
        log.info("shards_taken", module=self._module.name, shards=sorted(shards), owned=sorted(self._owned))

    async def _give_back(self, session: _Session, shards: set[int]) -> None:
        """Finish what is under way, then let the broker have the rest.

        A consumer ends together with its channel, in the moment in which the broker takes back what it delivered:
        were it cancelled sooner, and this process froze, others would be given newer commands than it still holds.
        """
        if not shards:
            return
        self._at("handing_over")
        channels = [session.intakes[shard] for shard in shards]
        for channel in channels:
            channel.drain()
        while any(channel.last_settled != channel.last_taken for channel in channels):
            self._settled.clear()
            await self._settled.wait()
        await delete_outbox(session.side, session.take_confirmed())
        for shard in shards:
            await session.intakes.pop(shard).close()
        self._owned -= shards
        self._shards_owned.set(len(self._owned))
        for shard in shards:
            await self._membership.release(str(shard))
        self._at("handed_over")
        log.info("shards_given_back", module=self._module.name, shards=sorted(shards), owned=sorted(self._owned))

    async def _sweep(self, session: _Session) -> None:
        """Clear confirmed outbox rows when no batch does, and republish rows that a lost commit left behind."""
        while True:
            await asyncio.sleep(SWEEP_S)
            self._pause = RETRY_FIRST_S  # it has lasted, with nothing to do
            await delete_outbox(session.side, session.take_confirmed())
            if self._owned and not session.under_way:
                await self._announcer.recover(session.side, session.outlet, self._owned, older_than_s=2 * SWEEP_S)

    async def _measure(self, link: Link, side: AsyncConnection[Any]) -> None:
        """Tell how full the queues are, for as long as they're ours."""
        try:
            while True:
                channel = await link.channel()
                try:
                    while True:
                        await self._gauges.measure(channel, side, set(self._owned))
                        await asyncio.sleep(MEASURE_S)
                except BrokerError as error:  # a queue is gone, which closed the channel
                    log.warning("queues_not_measured", module=self._module.name, detail=str(error))
                    await asyncio.sleep(MEASURE_S)
        finally:
            self._gauges.clear()


@dataclass(slots=True)
class _Session:
    """What lasts until something breaks: links, channels, connections, and the leases of the shards owned."""

    consuming: Link
    lanes: list[Lane]
    intakes: dict[int, Channel]
    fence: Fence
    outlet: Channel
    replies: Replies
    side: AsyncConnection[Any]
    waiting: asyncio.Queue[Published]
    under_way: int = 0  # batches that aren't acknowledged yet
    is_stopping: bool = False
    changing: asyncio.Lock = field(default_factory=asyncio.Lock)  # held while shards come or go

    def emptiest_lane(self) -> Lane:
        """That with the fewest shards, for the next one."""
        served = [channel.deliveries for channel in self.intakes.values()]
        return min(self.lanes, key=lambda lane: served.count(lane.deliveries))

    def take_confirmed(self) -> list[int]:
        """The outbox rows that the broker has confirmed; no batch clears them any more."""
        drained = [id for lane in self.lanes for id in lane.settler.confirmed]
        for lane in self.lanes:
            lane.settler.confirmed.clear()
        return drained


def _shard(delivery: Delivery) -> int:
    return int(delivery.consumer_tag)
