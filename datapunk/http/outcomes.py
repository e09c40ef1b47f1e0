"""What became of a command, as HTTP tells it."""

from __future__ import annotations

from fastapi import Response

from datapunk.http.bodies import json_response
from datapunk.http.problems import Problem
from datapunk.messages.outcome import Outcome, Status
from datapunk.messages.shown import outcome_values

FAILED_STATUS = 422
# Failures that are the sender's mistake and not the message's content.
STATUS_OF_FAILURE = {"unknown_type": 404, "missing_actor_id": 400, "invalid_envelope": 400, "oversized": 413}


def outcome_response(outcome: Outcome, position: int | None = None) -> Response:
    """200 with the outcome of an accepted command.

    Args:
        outcome: as replied or stored.
        position: where the store knows it better: an outcome is stored before its position is known.

    Raises:
        Problem: 409 if it was rejected, 422 (or what fits better) if it failed.
    """
    if outcome.status is Status.Accepted:
        return json_response(outcome_values(outcome) | ({"position": position} if position else {}))
    is_rejection = outcome.status is Status.Rejected
    raise Problem(
        409 if is_rejection else STATUS_OF_FAILURE.get(outcome.code, FAILED_STATUS),
        outcome.code or ("rejected" if is_rejection else "failed"),
        outcome.message,
        outcome=str(outcome.status.value).lower(),
        id=str(outcome.command_id),
        actor=outcome.actor,
        details=dict(outcome.details),
    )
