"""From a delivery in a queue of dead letters to what is recorded of it. No I/O."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, cast
from uuid import UUID

from uuid_utils.compat import uuid7

from actors.nexus.reasons import Policy
from datapunk.broker.dead_letter import ATTEMPT, DEAD_SUFFIX, ID, carried, dead_letter
from datapunk.broker.deliveries import Delivery
from datapunk.broker.letter_id import DERIVED, derived_id
from datapunk.broker.properties import Properties, decode_properties, encode_properties
from datapunk.errors import InvalidEnvelope, MovedByBroker
from datapunk.store.originals import Original
from schemas.nexus.types import DeadLetter

MAX_TEXT = 2_000  # characters of what is wrong
MAX_NAME = 255  # characters of anything else
UNREADABLE = "unreadable"  # the reason of what has no readable properties
# As the broker calls them in `x-death`.
REASONS_OF_BROKER = ("delivery_limit", "rejected", "expired", "maxlen")
OF_DELIVERY = ("x-delivery-count", "x-acquired-count")  # headers that the broker changes with each delivery
BY_BROKER = f".{MovedByBroker.code}"


@dataclass(frozen=True, slots=True, eq=False)
class Letter:
    """A dead letter as it was found.

    Attributes:
        original: to be kept, with its dead-id.
        attempt: which time it was published again when it failed; 0: it never was.
        properties: of the original; empty ones if they can't be read.
        unreadable: why they can't be.
    """

    original: Original
    attempt: int
    properties: Properties
    unreadable: str = ""

    @property
    def is_derived(self) -> bool:
        """Whether its id derives from the message, so that another one under it is the same one put aside again."""
        return self.original.id.version == DERIVED

    @property
    def module(self) -> str:
        """Whose it is."""
        return self.original.queue.removesuffix(DEAD_SUFFIX)

    @property
    def reason(self) -> str:
        """The code of what is wrong."""
        return _text(self.properties.headers, "dead-reason") or UNREADABLE

    @property
    def message(self) -> str:
        """What is wrong, for people."""
        return self.unreadable or _clean((self.properties.headers or {}).get("dead-message"), MAX_TEXT)

    @property
    def died_at(self) -> datetime:
        """When it was put aside."""
        return _time((self.properties.headers or {}).get("dead-at"))

    def described(self, policy: Policy) -> DeadLetter:
        """What is recorded of it."""
        properties, headers = self.properties, self.properties.headers
        return DeadLetter(
            module=self.module,
            type=_clean(properties.type),
            reason=self.reason,
            kind=policy.kind,
            message=self.message,
            died_at=self.died_at,
            died_by=_text(headers, "dead-by"),
            exchange=_text(headers, "dead-exchange"),
            routing_key=_text(headers, "dead-routing-key"),
            queue=_text(headers, "dead-queue"),
            message_id=_clean(properties.message_id) or None,
            correlation_id=_clean(properties.correlation_id) or None,
            actor=_text(headers, "actor-id") or None,
            tenant=_text(headers, "tenant") or None,
            content_type=_clean(properties.content_type) or None,
            size=len(self.original.body),
        )


def readable_properties(delivery: Delivery) -> Properties | None:
    """The properties of a dead letter, which may be larger than those of any other message; none if nobody can."""
    if not delivery.unreadable:
        return delivery.properties
    try:
        return decode_properties(delivery.raw_properties)
    except InvalidEnvelope:
        return None


def read_letter(delivery: Delivery, properties: Properties | None) -> Letter | None:
    """The letter that a delivery is; none if it has no id yet, or one that derives from another message."""
    queue = delivery.consumer_tag
    if properties is None:
        original = Original(uuid7(), queue, delivery.raw_properties, delivery.body)
        return Letter(original, 0, Properties(), delivery.unreadable)
    headers = properties.headers or {}
    if delivery.routing_key.endswith(BY_BROKER):  # what it carries may be of another time
        return None
    try:
        id = UUID(cast(str, headers.get(ID)))
    except (ValueError, TypeError, AttributeError):
        return None
    attempt = headers.get(ATTEMPT, 0)
    if not isinstance(attempt, int):
        return None
    if attempt <= 0 and id.version == DERIVED and id != derived_id(properties, headers, delivery.body):
        return None
    # In one order, since the broker puts them into another one where it adds its own.
    own = _with(properties, {name: value for name, value in sorted(headers.items()) if name not in OF_DELIVERY})
    return Letter(Original(id, queue, encode_properties(own), delivery.body), max(attempt, 0), own)


def new_letter(queue: str, properties: Properties, body: bytes) -> Letter:
    """A letter under a new id."""
    return Letter(Original(uuid7(), queue, encode_properties(properties), body), 0, properties)


def stamped(delivery: Delivery, properties: Properties, *, is_known: bool = True) -> Properties:
    """The properties of a letter that nobody of ours put aside, with all that ours have.

    Args:
        delivery: as it was found.
        properties: its own.
        is_known: whether the id that it may carry is its own.
    """
    headers = dict(properties.headers or {})
    if not is_known:
        headers.pop(ATTEMPT, None)
    if not delivery.routing_key.endswith(BY_BROKER) and isinstance(headers.get("dead-reason"), str):
        return _with(properties, {**headers, ID: str(uuid7())})
    death = _death(headers)
    queue, reason = _clean(death.get("queue")), _clean(death.get("reason"))
    keys = death.get("routing-keys")
    return dead_letter(
        _with(properties, headers),
        delivery.body,
        reason=reason if reason in REASONS_OF_BROKER else MovedByBroker.code,
        message=f"the broker moved it from {queue or 'a queue'}: {(reason or 'nobody knows why').replace('_', ' ')}",
        exchange=_clean(death.get("exchange")),
        routing_key=_clean(keys[0]) if isinstance(keys, list) and keys else "",
        queue=queue,
    )


def _with(properties: Properties, headers: Mapping[str, Any]) -> Properties:
    return carried(properties, headers, properties.delivery_mode)


def _death(headers: Mapping[str, Any]) -> Mapping[str, Any]:
    """The latest entry of `x-death`, which comes first."""
    deaths = headers.get("x-death")
    first = cast("list[Any]", deaths)[0] if isinstance(deaths, list) and deaths else None
    return cast("Mapping[str, Any]", first) if isinstance(first, dict) else {}


def _text(headers: Mapping[str, Any] | None, name: str) -> str:
    return _clean((headers or {}).get(name))


def _clean(value: object, most: int = MAX_NAME) -> str:
    """Text that Avro and Postgres take; strangers may have written anything."""
    if not isinstance(value, str):
        return ""
    return value[:most].encode("utf-8", "replace").decode().replace("\0", "�")


def _time(value: object) -> datetime:
    try:
        time = datetime.fromisoformat(cast(str, value))
    except (ValueError, TypeError):
        return datetime.now(UTC)
    return time if time.tzinfo else time.replace(tzinfo=UTC)
