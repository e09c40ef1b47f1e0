"""Tells the world what a batch led to: events to subscribers, outcomes to senders, dead letters to their queue."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from typing import Any

from psycopg import AsyncConnection

from datapunk.broker.channel import Channel
from datapunk.broker.dead_letter import DEAD, bury, dead_key, dead_letter
from datapunk.broker.properties import PERSISTENT, Properties
from datapunk.broker.replies import Replies, content_type_for, failed, reply_to
from datapunk.broker.topology import command_queue
from datapunk.errors import ReplyUnroutable
from datapunk.incoming import Refused
from datapunk.messages.avro_values import uuid_text
from datapunk.messages.codec import AVRO_BINARY, AVRO_JSON
from datapunk.messages.envelope import MAX_CORRELATION_ID, Envelope, cloud_event
from datapunk.messages.message import Event
from datapunk.messages.outcome import Outcome, Status
from datapunk.messages.registry import Registry
from datapunk.module import Module
from datapunk.settling import Committed
from datapunk.store.events import EventData
from datapunk.store.outbox import delete, unconfirmed
from datapunk.store.read import events_at
from datapunk.telemetry import metrics, traces
from datapunk.telemetry.logs import get_logger

log = get_logger(__name__)


class Announcer:
    """Publishes for one module."""

    def __init__(self, module: Module, registry: Registry) -> None:
        self._module = module
        self._registry = registry
        self._exchange = f"{module.name}.events"
        self._source = f"/{module.name}"
        self._published = metrics.EVENTS_PUBLISHED.labels(module=module.name)
        self._outcome_fingerprint = registry.fingerprint(Outcome)
        self._types = frozenset(module.command_types)

    def publish(self, channel: Channel, committed: Sequence[Committed]) -> int:
        """Write a batch's events and dead letters to the broker, in one go.

        Returns:
            What to wait for with `Channel.confirmed`.
        """
        events = 0
        for batch in committed:
            at = batch.at or datetime.now(UTC)
            for event, message, position in zip(
                batch.decided.events, batch.decided.messages, batch.positions, strict=True
            ):
                self._publish_event(channel, event, message, position, at)
            events += len(batch.positions)
            for refused in batch.decided.refused:
                self._bury(channel, refused)
        self._published.inc(events)
        return channel.flush()

    def reply(self, replies: Replies, committed: Sequence[Committed]) -> None:
        """Send the outcomes to those who wait for one."""
        outcomes: Counter[tuple[str, str]] = Counter()
        for batch in committed:
            for reply in batch.decided.replies:
                properties, envelope = reply.command.delivery.properties, reply.command.envelope
                outcomes[envelope.type, reply.outcome.status.value] += 1
                if properties.reply_to:
                    self._reply(replies, properties, reply.outcome, envelope, mandatory=True)
            for refused in batch.decided.refused:
                properties, envelope = refused.delivery.properties, refused.envelope
                outcomes[envelope.type if envelope else "", Status.Failed.value] += 1
                if properties.reply_to:
                    outcome = failed(refused.code, refused.message, envelope.id if envelope else None)
                    self._reply(replies, properties, outcome, envelope, mandatory=False)
        replies.flush()
        for (type, status), count in outcomes.items():
            # A label is kept for ever, and types come from strangers.
            known = type if type in self._types else "unknown"
            metrics.COMMANDS_HANDLED.labels(module=self._module.name, type=known, outcome=status.lower()).inc(count)

    async def recover(
        self,
        conn: AsyncConnection[Any],
        channel: Channel,
        shards: Collection[int],
        *,
        older_than_s: float = 0.0,
    ) -> int:
        """Publish again what was committed and, as far as the outbox knows, not confirmed.

        Returns:
            How many events that were.
        """
        rows = await unconfirmed(conn, self._module.name, shards, older_than_s=older_than_s)
        count = 0
        for row in rows:
            events = await events_at(conn, row.positions)
            await self._registry.learn_of(conn, events)
            for event in events:
                message = self._registry.decode(event.type, event.data, AVRO_BINARY, event.schema)
                assert isinstance(message, Event)  # only events are stored
                self._publish_event(channel, event, message, event.position, event.at)
                count += 1
        if rows:
            await channel.confirmed(channel.flush())
            await delete(conn, [row.id for row in rows])
            log.info("events_republished", module=self._module.name, events=count, shards=sorted(shards))
        return count

    def _publish_event(self, channel: Channel, event: EventData, message: Event, position: int, at: datetime) -> None:
        kind, _, actor_id = event.stream.partition("/")
        id = uuid_text(event.id)
        headers = cloud_event(id, self._source, event.type, at, event.stream, self._registry.fingerprint(type(message)))
        headers |= {
            "actor-id": actor_id,
            "tenant": event.tenant,
            "causation-id": uuid_text(event.causation),
            "position": position,
            "version": event.version,
        }
        metadata = event.metadata
        for name in ("traceparent", "tracestate"):
            if name in metadata:
                headers[name] = metadata[name]
        channel.publish(
            self._exchange,
            f"{event.tenant}.{kind}.{event.type.rpartition('.')[2]}",
            Properties(
                content_type=AVRO_JSON,
                headers=headers,
                delivery_mode=PERSISTENT,
                correlation_id=_correlation_id(event),
                message_id=id,
                timestamp=at,
                type=event.type,
                app_id="datapunk",
            ),
            self._registry.encode(message, AVRO_JSON),
        )

    def _reply(
        self, replies: Replies, properties: Properties, outcome: Outcome, envelope: Envelope | None, mandatory: bool
    ) -> None:
        assert properties.reply_to is not None  # the callers looked
        replies.send(
            properties.reply_to,
            reply_to(properties, Outcome.message_type, self._outcome_fingerprint, envelope),
            self._registry.encode(outcome, content_type_for(properties.content_type)),
            mandatory=mandatory,
        )

    def _bury(self, channel: Channel, refused: Refused) -> None:
        metrics.ERRORS.labels(service=f"{self._module.name}.shards", error_type=refused.code).inc()
        delivery = refused.delivery
        with traces.span("dead letter", traces.traceparent_of(delivery.properties.headers)):
            bury(
                channel,
                delivery,
                module=self._module.name,
                reason=refused.code,
                message=refused.message,
                trace=refused.trace,
                queue=command_queue(self._module.name, int(delivery.consumer_tag)),
            )

    def bury_returned(self, replies: Replies, channel: Channel) -> None:
        """Replies that found no queue: keep them among the dead letters; the outcome is in the inbox besides."""
        for returned in replies.returned():
            reason = ReplyUnroutable.code
            message = f"the reply queue {returned.routing_key!r} doesn't exist: {returned.reply_text}"
            metrics.DEAD_LETTERS.labels(module=self._module.name, reason=reason).inc()
            log.warning("dead_letter", module=self._module.name, reason=reason, detail=message)
            properties = dead_letter(
                returned.properties, returned.body, reason=reason, message=message, routing_key=returned.routing_key
            )
            channel.publish(DEAD, dead_key(self._module.name, reason), properties, returned.body)
        channel.flush()


def _correlation_id(event: EventData) -> str:
    """What an event carries; a store may hold longer ones than a property takes, from before they were refused."""
    wanted = event.metadata.get("correlation_id")
    return wanted if wanted and len(wanted.encode()) <= MAX_CORRELATION_ID else uuid_text(event.causation)
