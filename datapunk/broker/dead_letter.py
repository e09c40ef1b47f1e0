"""Dead letters: a message that can't be handled, as it came, with the reason in its headers."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from uuid_utils.compat import uuid7

from datapunk.broker.channel import Channel
from datapunk.broker.deliveries import Delivery
from datapunk.broker.letter_id import derived_id
from datapunk.broker.properties import PERSISTENT, Properties
from datapunk.errors import MovedByBroker, UnencodableMessage
from datapunk.telemetry import metrics
from datapunk.telemetry.logs import get_logger

DEAD = "datapunk.dead"  # exchange: dead letters, routing key <module>.<reason>
DEAD_SUFFIX = ".dead"  # of a queue of dead letters, behind the name of its module
MAX_TRACE = 8_192  # characters: headers must fit into one frame
MAX_MESSAGE = 2_000  # characters
FALLBACK_MODULE = "datapunk"
ROUTING = {"CC": "dead-cc", "BCC": "dead-bcc"}  # headers whose values the broker takes for further routing keys
ID, ATTEMPT = "dead-id", "dead-attempt"  # headers: which dead letter it is, and which time it's tried again
MAX_MODULE = 60  # characters

log = get_logger(__name__)


def bury(
    channel: Channel,
    delivery: Delivery,
    *,
    module: str,
    reason: str,
    message: str,
    trace: str = "",
    queue: str,
    mandatory: bool = False,
) -> None:
    """Publish a delivery as a dead letter.

    One that can't be written again, since its headers would outgrow a frame, becomes `unreadable` instead: the
    broker keeps it as it came, once it's settled.

    Args:
        channel: for the dead letter; nothing is sent before it's flushed.
        delivery: the original.
        module: whose dead letter it is.
        reason: an error code.
        message: for a person.
        trace: a traceback, if there's one.
        queue: from where it was delivered.
        mandatory: whether it comes back if no queue takes it.
    """
    properties = dead_letter(
        delivery.properties,
        delivery.body,
        reason=reason,
        message=message,
        trace=trace,
        exchange=delivery.exchange,
        routing_key=delivery.routing_key,
        queue=queue,
    )
    log.warning(
        "dead_letter",
        module=module,
        reason=reason,
        detail=message,
        message_id=delivery.properties.message_id,
        correlation_id=delivery.properties.correlation_id,
    )
    try:
        channel.publish(DEAD, dead_key(module, reason), properties, delivery.body, mandatory)
    except UnencodableMessage as error:
        delivery.unreadable = f"it can't be written again: {error}"
        count_unreadable(module, delivery)
    else:
        metrics.DEAD_LETTERS.labels(module=module, reason=reason).inc()


def dead_letter(
    properties: Properties,
    body: bytes,
    *,
    reason: str,
    message: str,
    trace: str = "",
    exchange: str = "",
    routing_key: str = "",
    queue: str = "",
) -> Properties:
    """The properties of a dead letter: those of the original, and headers that tell what happened.

    Args:
        properties: of the original.
        body: of the original.
        reason: an error code.
        message: for a person.
        trace: a traceback, if there's one; its end is kept.
        exchange: where the original was published.
        routing_key: with which key.
        queue: from where it was delivered.
    """
    original: Mapping[str, Any] = properties.headers or {}
    headers: dict[str, Any] = {
        **original,
        **_told(reason, message, exchange, routing_key),
        "dead-at": datetime.now(UTC).isoformat(),
        "dead-by": f"{socket.gethostname()}:{os.getpid()}",
        "dead-queue": queue,
    }
    if properties.user_id:
        headers["dead-user-id"] = properties.user_id  # as a property the broker would compare it with ours
    if trace:
        headers["dead-traceback"] = encodable(trace[-MAX_TRACE:])
    headers[ID] = _known_id(original) or str(derived_id(properties, headers, body) or uuid7())
    return carried(properties, headers, PERSISTENT)


def buried(
    properties: Properties, body: bytes, *, reason: str, message: str, exchange: str, routing_key: str
) -> dict[str, Any]:
    """The headers by which a message that was never sent is a dead letter; always the same ones.

    Args:
        properties: of the message; it has an id, and its own headers.
        body: of the message.
        reason: an error code.
        message: for a person.
        exchange: where it goes when it's redriven.
        routing_key: with which key.
    """
    headers: dict[str, Any] = {**(properties.headers or {}), **_told(reason, message, exchange, routing_key)}
    return {**headers, ID: str(derived_id(properties, headers, body))}


def _told(reason: str, message: str, exchange: str, routing_key: str) -> dict[str, str]:
    """What the headers of all dead letters tell."""
    return {
        "dead-reason": reason,
        "dead-message": encodable(message[:MAX_MESSAGE]),
        "dead-exchange": exchange,
        "dead-routing-key": routing_key,
    }


def carried(properties: Properties, headers: Mapping[str, Any], delivery_mode: int | None) -> Properties:
    """What a message among the dead letters keeps of its properties: all but what would expire, route or refuse it.

    Args:
        properties: as it had them.
        headers: in place of its own.
        delivery_mode: in place of its own.
    """
    return Properties(
        content_type=properties.content_type,
        content_encoding=properties.content_encoding,
        headers={ROUTING.get(name, name): value for name, value in headers.items()},
        delivery_mode=delivery_mode,
        priority=properties.priority,
        correlation_id=properties.correlation_id,
        reply_to=properties.reply_to,
        message_id=properties.message_id,
        timestamp=properties.timestamp,
        type=properties.type,
        app_id=properties.app_id,
    )


def _known_id(headers: Mapping[str, Any]) -> str | None:
    """The id that it had before, if it's one that was tried again and failed again.

    A copy that somebody else put back into a queue, headers and all, is a letter of its own.
    """
    known = headers.get(ID)
    return known if isinstance(known, str) and ATTEMPT in headers else None


def encodable(text: str) -> str:
    """Texts of exceptions may hold halves of surrogate pairs, which UTF-8 has no form for."""
    return text.encode("utf-8", "replace").decode()


def count_unreadable(module: str, delivery: Delivery) -> None:
    """Tell of a message that the broker itself will move to the dead letters (`deliveries.settle`)."""
    metrics.DEAD_LETTERS.labels(module=module, reason=MovedByBroker.code).inc()
    log.warning("dead_letter", module=module, reason=MovedByBroker.code, detail=delivery.unreadable)


def dead_key(module: str, reason: str) -> str:
    """The routing key of a dead letter; what isn't a module's name can be long, and a key has 255 bytes at most."""
    return f"{module[:MAX_MODULE] or FALLBACK_MODULE}.{reason}"
