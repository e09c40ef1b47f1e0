"""Why messages become dead letters, in one table: of which kind a reason is, and whether time may heal it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from datapunk.settings import RetrySetting
from schemas.nexus.types import DeadLetterKind, Retry

AT_ONCE = Retry(attempts=0)
HEALS = Retry(attempts=3, first_s=1.0)
ROLLING = Retry(attempts=3, first_s=30.0)  # a release takes minutes to reach all processes


@dataclass(frozen=True, slots=True)
class Policy:
    """What is done with dead letters of one reason."""

    kind: DeadLetterKind
    retry: Retry = AT_ONCE


POLICIES: Mapping[str, Policy] = {
    # Wrong in itself: the same for ever, until a person edits it.
    "poison": Policy(DeadLetterKind.Poison),
    "undecodable": Policy(DeadLetterKind.Poison),
    "invalid_envelope": Policy(DeadLetterKind.Poison),
    "missing_actor_id": Policy(DeadLetterKind.Poison),
    "unsupported_content_type": Policy(DeadLetterKind.Poison),
    "command_id_reused": Policy(DeadLetterKind.Poison),
    "unencodable": Policy(DeadLetterKind.Poison),
    "refused_by_store": Policy(DeadLetterKind.Poison),
    "unreadable": Policy(DeadLetterKind.Poison),
    "oversized": Policy(DeadLetterKind.Oversized),
    # Known to a release that is on its way.
    "unknown_schema": Policy(DeadLetterKind.Schema, ROLLING),
    "unknown_type": Policy(DeadLetterKind.Schema, ROLLING),
    # What failed once may not the next time.
    "handler_failed": Policy(DeadLetterKind.Failed, HEALS),
    "query_failed": Policy(DeadLetterKind.Failed),
    "reply_timeout": Policy(DeadLetterKind.Failed),
    "too_many_waiting": Policy(DeadLetterKind.Failed),
    "position_unknown": Policy(DeadLetterKind.Failed),
    "webhook_failed": Policy(DeadLetterKind.Failed),  # it was tried for hours before it came here
    "unroutable": Policy(DeadLetterKind.Unroutable, HEALS),
    # What the broker itself moved.
    "delivery_limit": Policy(DeadLetterKind.ByBroker, HEALS),
    "rejected": Policy(DeadLetterKind.ByBroker),
    "maxlen": Policy(DeadLetterKind.ByBroker, HEALS),
    "by_broker": Policy(DeadLetterKind.ByBroker),
    "expired": Policy(DeadLetterKind.Expired),
    # The command took effect, and its outcome is in the inbox: who waited is gone.
    "reply_unroutable": Policy(DeadLetterKind.Reply),
}
OTHER = Policy(DeadLetterKind.Failed)  # a module's own reason


def policy_of(reason: str, type: str, settings: Mapping[str, RetrySetting]) -> Policy:
    """What is done with a dead letter.

    Args:
        reason: its code.
        type: its message type.
        settings: what the operator has set instead, by message type or by reason; the type goes first.
    """
    policy = POLICIES.get(reason, OTHER)
    chosen = settings.get(type) or settings.get(reason)
    return policy if chosen is None else Policy(policy.kind, Retry(attempts=chosen.attempts, first_s=chosen.first_s))
