"""A batch of commands, decided in memory: what is to be stored, published and replied. No I/O."""

from __future__ import annotations

import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from time import time_ns

import msgspec
from uuid_utils.compat import uuid7

from datapunk.actor import Actor, Rejected
from datapunk.errors import CommandIdReused, HandlerFailed, OversizedMessage
from datapunk.incoming import Address, Incoming, Refused
from datapunk.messages.avro_values import uuid_text
from datapunk.messages.codec import AVRO_BINARY
from datapunk.messages.envelope import iso
from datapunk.messages.message import Event
from datapunk.messages.outcome import Outcome, Status
from datapunk.messages.registry import Registry
from datapunk.store.events import CommandKey, EventData, InboxEntry
from datapunk.telemetry import traces

# In JSON an event may be six times as long (bytes become \u00xx), and brokers take 128 MiB in one message: a larger
# event would be stored and could never be published.
MAX_EVENT_BYTES = 20 * 1024 * 1024


class Spoiled(Exception):  # an instruction to the caller
    """An `@applies` method failed, so that the actor's state is of no use: decide again, without this command."""

    def __init__(self, refused: Refused) -> None:
        super().__init__(refused.message)
        self.refused = refused


@dataclass(slots=True)
class Decided:
    """What came of a batch.

    Attributes:
        events: to be stored; `sources` and `messages` are parallel to it.
        sources: the command behind each event.
        messages: each event as an object, to be published.
        inbox: the commands that are decided, accepted or rejected.
        replies: an outcome for each command, with the indexes of its first and last event (or none).
        refused: what goes to the dead letters.
    """

    events: list[EventData] = field(default_factory=list[EventData])
    sources: list[Incoming] = field(default_factory=list[Incoming])
    messages: list[Event] = field(default_factory=list[Event])
    inbox: list[InboxEntry] = field(default_factory=list[InboxEntry])
    replies: list[Reply] = field(default_factory=list["Reply"])
    refused: list[Refused] = field(default_factory=list[Refused])


class Reply(msgspec.Struct):
    """An outcome on its way to the sender; `last_event` is the index in the batch of the event with its position."""

    command: Incoming
    outcome: Outcome
    last_event: int | None = None


class Decider:
    """Decides batches for one module."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def decide(
        self, commands: Sequence[Incoming], known: Mapping[CommandKey, Known], actors: Mapping[Address, Actor]
    ) -> Decided:
        """Decide commands in order, each on the state that those before it left.

        Args:
            commands: the batch.
            known: those processed earlier, by tenant and id.
            actors: the actors addressed, loaded; their state and version move on.

        Raises:
            Spoiled: if an actor couldn't apply its own event; its state, and so `actors`, are to be thrown away.
        """
        decided = Decided()
        in_batch: dict[CommandKey, tuple[Incoming, Reply | None]] = {}
        for incoming in commands:
            key = incoming.key
            before = known.get(key)
            if before is not None:
                self._repeat(incoming, before.digest, Reply(incoming, before.outcome), decided)
                continue
            twin = in_batch.get(key)
            if twin is not None and twin[1] is not None:
                first, reply = twin[0], twin[1]
                self._repeat(incoming, first.digest, Reply(incoming, reply.outcome, reply.last_event), decided)
                continue
            in_batch[key] = (incoming, self._decide_one(incoming, actors[incoming.address], decided))
        return decided

    def _repeat(self, incoming: Incoming, digest: bytes, reply: Reply, decided: Decided) -> None:
        """A command that came before: the same reply again, unless it isn't the same command."""
        if incoming.digest == digest:
            decided.replies.append(reply)
            return
        message = f"command id {incoming.id} was used before for another command; a retry must repeat it exactly"
        decided.refused.append(Refused(incoming.delivery, incoming.envelope, CommandIdReused.code, message))

    def _decide_one(self, incoming: Incoming, actor: Actor, decided: Decided) -> Reply | None:
        began_ns = time_ns() if traces.is_on() else 0
        try:
            events = actor.decide(incoming.command)
            encoded = [self._encode(event) for event in events]
        except Rejected as rejection:
            try:
                return self._reject(incoming, actor, rejection, decided)
            except Exception as error:  # its message or details are no text
                decided.refused.append(_poison(incoming, error))
                return None
            finally:
                _trace(incoming, began_ns, rejection.code)
        except Exception as error:
            _trace(incoming, began_ns, HandlerFailed.code, repr(error))
            decided.refused.append(_poison(incoming, error))
            return None
        _trace(incoming, began_ns, "accepted")
        first = actor.version + 1
        metadata = _metadata(incoming)
        tenant, stream = incoming.address
        for event, data in zip(events, encoded, strict=True):
            try:
                actor.apply(event)
            except Exception as error:
                raise Spoiled(_poison(incoming, error)) from error
            decided.events.append(
                EventData(
                    tenant=tenant,
                    stream=stream,
                    version=actor.version,
                    type=event.message_type,
                    id=uuid7(),
                    schema=self._registry.fingerprint(type(event)),
                    data=data,
                    causation=incoming.id,
                    metadata=metadata,
                )
            )
            decided.sources.append(incoming)
            decided.messages.append(event)
        outcome = Outcome(
            status=Status.Accepted,
            command_id=incoming.id,
            actor=stream,
            version=actor.version,
            events=[uuid_text(event.id) for event in decided.events[len(decided.events) - len(events) :]],
        )
        return self._record(incoming, outcome, first if events else None, actor.version if events else None, decided)

    def _encode(self, event: Event) -> bytes:
        data = self._registry.encode(event, AVRO_BINARY)
        if len(data) > MAX_EVENT_BYTES:
            raise OversizedMessage(
                f"{event.message_type} has {len(data):,} bytes, and {MAX_EVENT_BYTES:,} are the limit; let the actor "
                "reject what leads to so large an event, or emit several"
            )
        return data

    def _reject(self, incoming: Incoming, actor: Actor, rejection: Rejected, decided: Decided) -> Reply:
        outcome = Outcome(
            status=Status.Rejected,
            code=rejection.code,
            message=rejection.message,
            details=rejection.details,
            command_id=incoming.id,
            actor=incoming.address[1],
            version=actor.version,
        )
        return self._record(incoming, outcome, None, None, decided)

    def _record(
        self, incoming: Incoming, outcome: Outcome, first: int | None, last: int | None, decided: Decided
    ) -> Reply:
        tenant, stream = incoming.address
        decided.inbox.append(
            InboxEntry(
                id=incoming.id,
                tenant=tenant,
                type=incoming.envelope.type,
                stream=stream,
                body_hash=incoming.digest,
                reply=self._registry.encode(outcome, AVRO_BINARY),
                first_version=first,
                last_version=last,
            )
        )
        reply = Reply(incoming, outcome, len(decided.events) - 1 if last is not None else None)
        decided.replies.append(reply)
        return reply


@dataclass(frozen=True, slots=True)
class Known:
    """A command processed earlier: how to recognise it, and what it was answered."""

    digest: bytes
    outcome: Outcome


def _poison(incoming: Incoming, error: Exception) -> Refused:
    return Refused(
        incoming.delivery,
        incoming.envelope,
        HandlerFailed.code,
        f"{incoming.actor.__name__} failed on {incoming.envelope.type}: {error!r}",
        traceback.format_exc(),
    )


def _trace(incoming: Incoming, began_ns: int, outcome: str, error: str | None = None) -> None:
    """A span of the decision; what follows from the command follows from it."""
    if began_ns:
        incoming.traceparent = traces.record(
            f"decide {incoming.envelope.type}",
            incoming.traceparent,
            began_ns,
            kind=traces.CONSUMER,
            attributes={
                "messaging.message.id": str(incoming.id),
                "datapunk.actor": incoming.address[1],
                "datapunk.outcome": outcome,
            },
            error=error,
        )


def _metadata(incoming: Incoming) -> dict[str, str]:
    envelope = incoming.envelope
    metadata = {"received_at": iso(incoming.received_at)}
    for name, value in (
        ("correlation_id", envelope.flow_id or envelope.correlation_id),
        ("traceparent", incoming.traceparent),
        ("tracestate", envelope.tracestate),
        ("app_id", envelope.app_id),
        ("user_id", envelope.user_id),
        ("sent_at", envelope.timestamp.isoformat() if envelope.timestamp else None),
    ):
        if value:
            metadata[name] = value
    return metadata
