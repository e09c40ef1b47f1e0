# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# ^ Faust's generics go without arguments.
"""Faust's consumer: reads the streams of its partitions, and commits offsets and tables together."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, cast
from uuid import uuid4

import mode
import psycopg
from aio_pika.exceptions import AMQPError
from faust.transport import consumer as base
from faust.types import TP, ConsumerMessage, EventT, Message
from mode import ServiceT

from faust_rabbitmq.assigning import accept, assign, describe, shared_changelogs
from faust_rabbitmq.committing import Commits
from faust_rabbitmq.database import Database
from faust_rabbitmq.errors import Expelled, FaustRabbitMQError, Fenced
from faust_rabbitmq.incoming import Incoming
from faust_rabbitmq.ledger import Ledger
from faust_rabbitmq.membership import Assigned, Member, Membership
from faust_rabbitmq.record import Mark
from faust_rabbitmq.stream.connections import Connections
from faust_rabbitmq.stream.frames import Offset
from faust_rabbitmq.stream.reader import chunk_at
from faust_rabbitmq.topic import stream_of
from faust_rabbitmq.topics import KEY_HEADER, ROUTED, Topics

if TYPE_CHECKING:
    from faust_rabbitmq.producer import Producer
    from faust_rabbitmq.settings import Settings

__all__ = ["Consumer"]

_YIELD_EVERY = 100  # messages, so that whatever else there is gets its turn
_IDLE_S = 0.2
_LOOK_AGAIN_S = 2.0
_COMMIT_REST_EVERY_S = 1.0
_NEVER = Mark(0, 1)  # of a write to what we don't own: it never counts


class Consumer(base.Consumer):
    """Reads from streams."""

    logger = mode.get_logger(__name__)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        settings: Settings = cast("Any", self.transport).settings
        conf = self.app.conf
        self._group = f"{settings.stream.virtual_host}/{conf.id}"
        self._member = f"{conf.id}-{uuid4().hex[:12]}"
        self._database = Database(settings.database_url)
        self._ledger = Ledger(self._database, self._group, self._member)
        self._commits = Commits(self._ledger)
        self._membership = Membership(
            Database(settings.database_url),
            self._group,
            self._member,
            lease_s=settings.lease_s,
            rebalance_s=conf.broker_rebalance_timeout,
            assign=self._assign,
            describe=lambda: describe(self.app, sorted(self._subscribed)),
            reactions=self,
        )
        self._subscribed: set[str] = set()
        self._is_member = False
        self._assigned: set[TP] = set()
        self._owned: frozenset[TP] = frozenset()
        self._connections = Connections(settings.stream, f"{conf.id} consumer", lambda _: self._doubtful.set())
        self._doubtful = asyncio.Event()  # set when the broker may have restarted
        self._routed: set[str] = set()
        self._incoming: Incoming | None = None
        self._in_flight: dict[TP, deque[int]] = {}
        self._sought: set[TP] = set()

    # Lifetime

    async def on_start(self) -> None:
        """Get ready to read."""
        self._incoming = Incoming(self.app, self._connections, self._ledger, self._topics)
        await super().on_start()

    async def on_stop(self) -> None:
        """Commit, leave the group, disconnect."""
        await super().on_stop()
        with suppress(psycopg.Error):
            if self._is_member:
                await self._membership.leave()
        if self._incoming is not None:
            await self._incoming.stop()
        await self._connections.close()
        await self._database.close()
        await self._membership.close()

    async def subscribe(self, topics: Iterable[str]) -> None:
        """Read these topics from now on."""
        wanted = set(topics)
        for channel in list(cast("Any", self.app.topics)):
            for topic in channel.topics:
                # One that is there is taken as it is, since others may have made it.
                if await self._topics.find(topic) is None:
                    await channel.maybe_declare()
                if channel.config and (channel.config.get(ROUTED) or channel.config.get(KEY_HEADER)):
                    self._routed.add(topic)
        if self._routed:
            self._doubtful.set()
        changed, self._subscribed = wanted != self._subscribed, wanted
        if self.app.client_only:
            await self._read_as_client()
        elif not self._is_member:
            await self._membership.join()
            self._is_member = True
            self.add_future(self._live())
        elif changed:
            await self._membership.resubscribe()

    @mode.Service.task
    async def _keep_order(self) -> None:
        """See that exchanges route keys where they belong, at first and after each loss of the connection."""
        while not self.should_stop:
            await self._doubtful.wait()
            self._doubtful.clear()
            for topic in list(self._routed):
                if self.should_stop:
                    break
                try:
                    if not await self._topics.mend(topic, self._connections):
                        await self.sleep(_LOOK_AGAIN_S)
                        self._doubtful.set()  # the broker may have mixed them up again
                except (FaustRabbitMQError, AMQPError, OSError, TimeoutError, psycopg.Error) as error:
                    self.log.warning("Can't tell whether topic %s is in order, trying again: %s", topic, error)
                    await self.sleep(_LOOK_AGAIN_S)
                    self._doubtful.set()

    async def _live(self) -> None:
        try:
            await self._membership.run()
        except asyncio.CancelledError:
            raise
        except BaseException as error:
            await self._fail(error)

    async def _fail(self, error: BaseException) -> None:
        """End the worker: what it has in memory is of no more use."""
        self.log.error("%s", error)
        self.stop_flow()
        await self.app.crash(error)

    async def _read_as_client(self) -> None:
        incoming = self._reading
        for topic in self._subscribed:
            tp = TP(topic, 0)
            if tp not in self._assigned:
                chunk = await chunk_at(self._connections, stream_of(topic, 0), Offset.last())
                self._assigned.add(tp)
                incoming.assign(self._assigned)
                incoming.seek(tp, chunk.first_offset + len(chunk.messages))

    # Membership

    async def _assign(self, members: Mapping[str, Member]) -> Mapping[str, Assigned]:
        partitions: dict[str, int] = {}
        for topic in {topic for member in members.values() for topic in member.topics}:
            found = await self._topics.find(topic)
            if found is not None:
                partitions[topic] = found.partitions
        return assign(self.app, members, partitions)

    async def give_up(self) -> None:
        """Stop working on all that was assigned, and commit."""
        self.app.on_rebalance_start()
        await self.on_partitions_revoked(set(self._assigned))
        if self._assigned:
            await self._commit_rest()
            if left := self._commits.uncommitted_writes:
                raise Expelled(
                    f"{left} writes to changelogs couldn't be committed, so the tables in memory "
                    "are ahead of what others will find: this worker has to begin anew"
                )
        self._forget()

    async def take(self, assigned: Assigned, generation: int) -> None:
        """Work on what is assigned."""
        tps = accept(self.app, assigned)
        cast("Any", self.app).consumer_generation_id = generation
        changelogs = {tp for tp in tps if self._is_changelog_tp(tp)}
        await self._commits.begin(tps - changelogs, self._membership.epoch)
        shared = shared_changelogs(self.app)
        self._owned = frozenset(tp for tp in self.app.assignor.assigned_actives() if tp.topic not in shared)
        self._assigned = tps
        self._reading.assign(tps)
        await self._reading.judge(changelogs, self._owned, self._membership.epoch)
        await self.on_partitions_assigned(set(tps), generation)

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """Let the app finish and commit while we still know what was acknowledged."""
        await self._on_partitions_revoked(revoked)
        if self._active_partitions is not None:  # pyright: ignore[reportUnnecessaryComparison]
            self._active_partitions.difference_update(revoked)
        self._paused_partitions.difference_update(revoked)
        for kept in (self._gap, self._acked, self._acked_index, self._read_offset, self._committed_offset):
            for tp in revoked:
                kept.pop(tp, None)

    def _forget(self) -> None:
        self._in_flight.clear()
        self._commits.end()
        self._owned = frozenset()
        self._assigned = set()
        self._reading.assign(set())

    # Reading

    async def _drain_messages(self, fetcher: ServiceT) -> None:
        """Hand messages to the streams until the fetcher is stopped."""
        reading = self._reading
        while not (self.should_stop or fetcher.should_stop):
            if not self.flow_active:
                await self.wait(cast("Any", self.can_resume_flow))
                continue
            active = None if self.app.client_only else self._get_active_partitions()
            if active is None:
                active = self._assigned
            if not self.app.client_only and not self._membership.is_alive:
                await asyncio.sleep(_IDLE_S)  # others may have our partitions
                continue
            records = await reading.take(active) if active else {}
            if not records:
                await reading.wait(_IDLE_S)
                continue
            self._sought.clear()
            await self.wait_first(self._deliver(records), self.suspend_flow.wait())

    async def _deliver(self, records: Mapping[TP, Sequence[ConsumerMessage]]) -> None:
        callback = self.callback
        enabled = self.app.topics.acks_enabled_for
        track_end = self.app.monitor.track_tp_end_offset
        sought, read = self._sought, self._read_offset
        for tp in records:
            track_end(tp, self.highwater(tp))
        since_yield = 0
        for tp, message in self.scheduler.iterate(cast("Any", records)):
            if tp in sought:
                continue
            if enabled(tp.topic):
                in_flight = self._in_flight.get(tp)
                if in_flight is None:
                    in_flight = self._in_flight[tp] = deque()
                in_flight.append(message.offset)
            await callback(message)
            read[tp] = message.offset
            since_yield += 1
            if since_yield >= _YIELD_EVERY:
                since_yield = 0
                await asyncio.sleep(0)
            if self._commit_every is not None and self._n_acked >= self._commit_every:
                self._n_acked = 0
                await self.commit()

    async def _getmany(self, active_partitions: set[TP] | None, timeout: float) -> Any:  # noqa: ASYNC109
        return await self._reading.take(self._assigned if active_partitions is None else active_partitions)

    def _to_message(self, tp: TP, record: Any) -> ConsumerMessage:
        return record

    def _new_topicpartition(self, topic: str, partition: int) -> TP:
        return TP(topic, partition)

    # Offsets

    def _new_offset(self, tp: TP) -> int | None:
        """After all that is acknowledged without a gap. Faust's own leaps a gap of one, finished or not."""
        in_flight = self._in_flight.get(tp)
        self._acked[tp].clear()
        if not in_flight:
            return None
        acked, committed = self._acked_index[tp], self._committed_offset[tp] or 0
        last: int | None = None
        while in_flight and (in_flight[0] in acked or in_flight[0] < committed):
            last = in_flight.popleft()
            acked.discard(last)
        return None if last is None else last + 1

    async def _commit(self, offsets: Mapping[TP, int]) -> bool:
        self._commits.want(offsets)
        return await self._commit_rest()

    @mode.Service.task
    async def _commit_what_was_left(self) -> None:
        async for _ in self.itertimer(_COMMIT_REST_EVERY_S, name="commit-rest"):
            if not self.app.rebalancing:
                await self._commit_rest()

    async def _commit_rest(self) -> bool:
        try:
            return await self._commits.commit()
        except Fenced as error:
            await self._fail(error)
            return False

    async def seek_to_committed(self) -> Mapping[TP, int]:
        """Seek the sources to where they're committed, or to where this app begins."""
        sought: dict[TP, int] = {}
        for tp in self._assigned:
            if self._is_changelog_tp(tp):
                continue
            offset = self._commits.offsets.get(tp)
            if offset is None:
                offset = 0
                if self.app.conf.consumer_auto_offset_reset == "latest":
                    chunk = await chunk_at(self._connections, stream_of(*tp), Offset.last())
                    offset = chunk.first_offset + len(chunk.messages)
            self._start_at(tp, offset)
            sought[tp] = offset
        return sought

    async def seek_wait(self, partitions: Mapping[TP, int]) -> None:
        """Seek."""
        for tp, offset in partitions.items():
            await self.seek(tp, offset)

    async def _seek(self, partition: TP, offset: int) -> None:
        self._start_at(base.ensure_TP(partition), offset)

    def _start_at(self, tp: TP, offset: int) -> None:
        self._sought.add(tp)
        self._in_flight.pop(tp, None)
        self._reading.seek(tp, offset)

    async def position(self, tp: TP) -> int | None:
        """The offset that is read next."""
        return self._reading.position(tp)

    def highwater(self, tp: TP) -> int:
        """After the last that has come in."""
        return self._reading.end(tp)

    async def earliest_offsets(self, *partitions: TP) -> Mapping[TP, int]:
        """The oldest that are still there."""
        return {
            tp: (await chunk_at(self._connections, stream_of(*tp), Offset.first())).first_offset for tp in partitions
        }

    async def highwaters(self, *partitions: TP) -> Mapping[TP, int]:
        """After the last that counts."""
        ends: dict[TP, int] = {}
        for tp in partitions:
            ends[tp], end = await self._reading.find_end(tp)
            self._commits.begins_at(tp, end)
        return ends

    def assignment(self) -> set[TP]:
        """What is assigned, standbys included."""
        return self._assigned

    # Topics

    @property
    def _topics(self) -> Topics:
        return cast("Producer", self.app.producer).topics

    @property
    def _reading(self) -> Incoming:
        if self._incoming is None:
            raise FaustRabbitMQError("the consumer isn't started yet")
        return self._incoming

    async def create_topic(self, topic: str, partitions: int, replication: int, **kwargs: Any) -> None:
        """Create a topic, unless it's there."""
        await self.app.producer.create_topic(topic, partitions, replication, **kwargs)

    def topic_partitions(self, topic: str) -> int | None:
        """How many partitions a topic has, if that's known."""
        found = self._topics.known(topic)
        return None if found is None else found.partitions

    def key_partition(self, topic: str, key: bytes | None, partition: int | None = None) -> int | None:
        """Where a key is."""
        if partition is not None or key is None or self._topics.known(topic) is None:
            return partition
        return self.app.producer.key_partition(topic, key).partition

    # Changelogs

    def number_write(self, tp: TP, event: EventT[Any] | None) -> tuple[Mark | None, Callable[[], int] | None]:
        """The mark of a write to a changelog, and what to call when it's stored, for an offset it's not before."""
        if tp not in self._owned:
            return (None if tp.topic in shared_changelogs(self.app) else _NEVER), None
        message = cast("Message | None", event.message) if event is not None else None
        return self._commits.number(tp, *((None, 0) if message is None else (message.tp, message.offset)))
