"""Every error that Datapunk raises on purpose.

All are `DatapunkError`s. `code` is stable and is what people meet in replies, logs, dead letters and docs;
the message says what happened and, where something can be done, what to do next.
"""

from __future__ import annotations

from typing import ClassVar


class DatapunkError(Exception):
    """The root of all errors here."""

    code: ClassVar[str] = "error"


class InternalError(DatapunkError):
    """Something failed that nobody foresaw: a defect. The log has it, under the correlation id of the request."""

    code = "internal"


class ConfigurationError(DatapunkError):
    """The settings, a module or the machine are not fit to start with."""

    code = "configuration"


# --- messages ---------------------------------------------------------------------------------------


class MessageError(DatapunkError):
    """A message can't be handled as it is, however often it is tried: it's dead-lettered with this code."""

    code = "poison"


class UndecodableMessage(MessageError):
    """The body isn't what its content type and schema say."""

    code = "undecodable"


class UnknownSchema(MessageError):
    """The `schema` header names a fingerprint that isn't in the registry."""

    code = "unknown_schema"


class UnknownMessageType(MessageError):
    """No module declares a message of this type."""

    code = "unknown_type"


class UnsupportedContentType(MessageError):
    """The content type is neither Avro JSON nor Avro binary."""

    code = "unsupported_content_type"


class InvalidEnvelope(MessageError):
    """A property or header that the wire contract asks for is missing or malformed."""

    code = "invalid_envelope"


class MissingActorId(InvalidEnvelope):
    """A command without the `actor-id` header."""

    code = "missing_actor_id"


class PositionUnknown(MessageError):
    """A query is to reflect a position that no event has yet: pass one that an outcome or an event told."""

    code = "position_unknown"


class OversizedMessage(MessageError):
    """The body is larger than `max_message_bytes`."""

    code = "oversized"


class CommandIdReused(MessageError):
    """A command id came back with another body: a retry must repeat the command exactly."""

    code = "command_id_reused"


class HandlerFailed(MessageError):
    """The module's code failed on a command: in its decision, or as it applied its own event."""

    code = "handler_failed"


class RefusedByStore(MessageError):
    """Postgres can't store what a command led to."""

    code = "refused_by_store"


class UnencodableMessage(MessageError):
    """A message object holds a value that its schema can't carry."""

    code = "unencodable"


class SchemaError(DatapunkError):
    """An .avsc file is wrong, or changes in a way that its released history forbids."""

    code = "schema"


# --- store ------------------------------------------------------------------------------------------


class StoreError(DatapunkError):
    """The event store refused something."""

    code = "store"


class DatabaseAway(StoreError):
    """The database can't be reached; try again."""

    code = "database_away"


class VersionConflict(StoreError):
    """Somebody else appended to one of these streams first."""

    code = "version_conflict"


class DuplicateCommand(StoreError):
    """One of these commands was processed before."""

    code = "duplicate_command"


class OwnershipLost(StoreError):
    """Another process owns this shard or projection now: whatever was under way here must stop."""

    code = "ownership_lost"


class RebuildUnderWay(StoreError):
    """A projection is being rebuilt already; wait for that to end."""

    code = "rebuild_under_way"


class ProjectionFailed(StoreError):
    """A projection's handler failed on what history holds: mend it, then try again; nothing was changed."""

    code = "projection_failed"


class ArchiveDamaged(StoreError):
    """An exported file is cut off, was changed, or is no export at all. Nothing of it was imported."""

    code = "archive_damaged"


class HistoryDiffers(StoreError):
    """The store holds a history, and it's not the one that is to be imported. Import into an empty database."""

    code = "history_differs"


class VersionGap(StoreError):
    """Events of a stream are missing between those there are, or before them."""

    code = "version_gap"


# --- broker -----------------------------------------------------------------------------------------


class BrokerError(DatapunkError):
    """The broker refused something, or can't be reached."""

    code = "broker"


class ConnectionLost(BrokerError):
    """The connection to the broker is gone; what was not confirmed must be published again."""

    code = "connection_lost"


class PublishRefused(BrokerError):
    """The broker answered a publish with a negative confirm: the message is not stored there."""

    code = "publish_refused"


class Unroutable(BrokerError):
    """No queue took the message."""

    code = "unroutable"


class ReplyUnroutable(BrokerError):
    """A command took effect, and no queue took its outcome. It's on record: send the command again to get it."""

    code = "reply_unroutable"


class ReplyLost(BrokerError):
    """A reply to `amq.rabbitmq.reply-to` was given up: too many wait for the broker. Send the command again for it."""

    code = "reply_lost"


class MovedByBroker(BrokerError):
    """The broker itself moved a message to the dead letters; its header `x-death` tells why.

    Either a process rejected it, since its properties can't be read or not be written again, or it spent its
    deliveries.
    """

    code = "by_broker"


class TooManyWaiting(BrokerError):
    """So many queries wait for a position in this process that no more may: ask again, or without a position."""

    code = "too_many_waiting"


class ReplyTimeout(BrokerError):
    """No reply came in time. A command may still take effect: send it again with the same id to learn its outcome."""

    code = "reply_timeout"


class QueryFailed(DatapunkError):
    """A query was answered with an error."""

    code = "query_failed"

    def __init__(self, message: str, *, code: str = "query_failed") -> None:
        super().__init__(message)
        self.error_code = code


class InvalidPattern(DatapunkError):
    """What should be a pattern of event names is none."""

    code = "pattern_invalid"


# --- Temporal ---------------------------------------------------------------------------------------


class TemporalAway(DatapunkError):
    """Temporal doesn't answer. Commands, events and queries go on; workflows do once it's back."""

    code = "temporal_away"


# --- secrets and tasks ------------------------------------------------------------------------------


class SecretUnreadable(DatapunkError):
    """A secret was encrypted with a key that isn't at hand, or its row was changed."""

    code = "secret_unreadable"


class TaskFailed(DatapunkError):
    """A task failed as often as it may."""

    code = "task_failed"


# --- the local stack --------------------------------------------------------------------------------


class StackError(DatapunkError):
    """The servers on this machine could not be started, found or stopped."""

    code = "stack"


class PartMissing(StackError):
    """A server's program isn't installed; the message says how to install it."""

    code = "part_missing"


class PartFailed(StackError):
    """A server was started and did not become ready; the message ends with what it logged last."""

    code = "part_failed"


class PortTaken(StackError):
    """Another process listens on a port that a server needs."""

    code = "port_taken"


class NotAnswering(StackError):
    """Nothing that speaks the expected protocol answers at this address (yet)."""

    code = "not_answering"
