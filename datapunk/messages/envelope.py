"""The envelope: what AMQP's properties and headers say about a message (docs/reference/wire.md)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any
from uuid import UUID

import msgspec

from datapunk.broker.properties import Properties
from datapunk.errors import InvalidEnvelope, MissingActorId

DEFAULT_TENANT = "default"
MAX_ACTOR_ID = 200  # characters
MAX_CORRELATION_ID = 255  # bytes: events carry it as a property, and those are AMQP short strings
CLOCK_SKEW = timedelta(minutes=5)  # how far a sender's clock may be ahead of ours
SPEC_VERSION = "1.0"

_UUID_LENGTH = 36  # in its usual form
_TENANT = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class Envelope(msgspec.Struct, frozen=True, gc=False):
    """Who sends what to whom.

    Attributes:
        id: the message's id; a retry has the same.
        type: the message type.
        actor_id: which actor, as in `weather`; empty for queries.
        tenant: whose data.
        content_type: how the body is encoded; none means Avro JSON.
        schema: fingerprint of the writer's schema; none means the present one.
        correlation_id: what the reply carries; none means the id.
        causation_id: the message that this one follows from.
        reply_to: the queue for the reply; none means that nobody waits.
        app_id: the sender's program.
        user_id: the sender's account at the broker, which verifies it.
        timestamp: when it was sent, if that can be.
        traceparent: W3C trace context.
        tracestate: W3C trace context.
        authorization: of the person behind it.
        flow_id: what its events carry as correlation id, by the header `correlation-id`: for a sender whose replies
            need another one. None means `correlation_id`.
    """

    id: UUID
    type: str
    actor_id: str = ""
    tenant: str = DEFAULT_TENANT
    content_type: str | None = None
    schema: str | None = None
    correlation_id: str | None = None
    causation_id: str | None = None
    reply_to: str | None = None
    app_id: str | None = None
    user_id: str | None = None
    timestamp: datetime | None = None
    traceparent: str | None = None
    tracestate: str | None = None
    authorization: str | None = None
    flow_id: str | None = None


def read_envelope(
    properties: Properties, *, needs_actor: bool = True, default_tenant: str = DEFAULT_TENANT
) -> Envelope:
    """The envelope of a message that arrived.

    Args:
        properties: as delivered.
        needs_actor: whether it's addressed to an actor, as commands are.
        default_tenant: for messages that name none.

    Raises:
        MissingActorId: if it should name an actor and doesn't.
        InvalidEnvelope: naming the property that is missing or malformed.
    """
    headers: Mapping[str, Any] = properties.headers or {}
    if not properties.type:
        raise InvalidEnvelope("the property `type` is missing: it names the message type, as in lake.CreateDataset")
    tenant = _text(headers, "tenant") or default_tenant
    if not _TENANT.fullmatch(tenant):
        raise InvalidEnvelope(f"the header `tenant` has 1 to 63 of a-z, 0-9 and '-', not {tenant!r}")
    actor_id = _actor_id(headers) if needs_actor else ""
    return Envelope(
        _message_id(properties.message_id),
        properties.type,
        actor_id,
        tenant,
        properties.content_type,
        _text(headers, "schema"),
        properties.correlation_id,
        _text(headers, "causation-id"),
        properties.reply_to,
        properties.app_id,
        properties.user_id,
        _sent_at(properties.timestamp),
        _text(headers, "traceparent"),
        _text(headers, "tracestate"),
        _text(headers, "authorization"),
        _flow_id(headers),
    )


def _message_id(text: str | None) -> UUID:
    if not text:
        raise InvalidEnvelope("the property `message_id` is missing: a UUID of your making, the same for each retry")
    try:
        return msgspec.convert(text, UUID) if len(text) == _UUID_LENGTH else UUID(text)  # the former is faster
    except (ValueError, msgspec.ValidationError):
        raise InvalidEnvelope(f"the property `message_id` must be a UUID, not {text!r}") from None


def _sent_at(timestamp: datetime | None) -> datetime | None:
    """It's only shown to people: one of two clocks is wrong if it's in the future, and nobody knows which."""
    if timestamp is not None and timestamp - CLOCK_SKEW > datetime.now(UTC):
        return None
    return timestamp


def _actor_id(headers: Mapping[str, Any]) -> str:
    actor_id = _text(headers, "actor-id")
    if not actor_id:
        raise MissingActorId("the header `actor-id` is missing: it names the actor that the command is for")
    if len(actor_id) > MAX_ACTOR_ID or _CONTROL.search(actor_id):
        raise InvalidEnvelope(f"the header `actor-id` has at most {MAX_ACTOR_ID} characters, and no control characters")
    return actor_id


def _flow_id(headers: Mapping[str, Any]) -> str | None:
    flow_id = _text(headers, "correlation-id")
    if flow_id is not None and len(flow_id.encode()) > MAX_CORRELATION_ID:
        raise InvalidEnvelope(f"the header `correlation-id` has at most {MAX_CORRELATION_ID} bytes of UTF-8")
    return flow_id


def _text(headers: Mapping[str, Any], name: str) -> str | None:
    value = headers.get(name)
    if value is None or isinstance(value, str):
        return value
    raise InvalidEnvelope(f"the header `{name}` must be text, not {value!r}")


def cloud_event(id: str, source: str, type: str, at: datetime, subject: str, schema: str) -> dict[str, Any]:
    """The headers of the CloudEvents 1.0 AMQP binding."""
    return {
        "cloudEvents:specversion": SPEC_VERSION,
        "cloudEvents:id": id,
        "cloudEvents:source": source,
        "cloudEvents:type": type,
        "cloudEvents:time": iso(at),
        "cloudEvents:subject": subject,
        "cloudEvents:dataschema": schema_uri(schema),
        "schema": schema,
    }


@lru_cache(maxsize=16)
def iso(time: datetime) -> str:
    """A time as ISO 8601. A whole batch has one, so that it's kept for a while."""
    return time.isoformat()


def schema_uri(fingerprint: str) -> str:
    """The name of a schema in `dataschema`, which takes no relative reference (CloudEvents 1.0.2)."""
    return f"urn:datapunk:schema:{fingerprint}"
