"""What a request says about its message besides the body: which actor, which tenant, which id."""

from __future__ import annotations

from uuid import UUID, uuid5

import uuid_utils.compat
from fastapi import Request

from datapunk.broker.properties import Properties
from datapunk.errors import MissingActorId
from datapunk.http.problems import Problem
from datapunk.messages.envelope import Envelope, read_envelope

# Keys that aren't UUIDs become the UUID of version 5 (RFC 9562) in this name space, of "<tenant>/<key>".
IDEMPOTENCY_SPACE = UUID("5d0d2f0e-6b0f-4a57-8c52-5f2c2f3f9b61")
MAX_KEY = 255  # characters


def actor_id_of(request: Request) -> str:
    """The `Actor-Id` header, or the query parameter `actor_id` (which takes any character).

    Raises:
        InvalidEnvelope: if the wire's contract forbids it.
        MissingActorId: if there's neither.
    """
    actor_id = _text(request.headers.get("Actor-Id")) or request.query_params.get("actor_id")
    if not actor_id:
        raise MissingActorId("say which actor: header 'Actor-Id', or '?actor_id=' in the URL")
    return _checked({"actor-id": actor_id}).actor_id


def tenant_of(request: Request, default: str) -> str:
    """The `Tenant` header, or the query parameter `tenant`.

    Raises:
        InvalidEnvelope: if the wire's contract forbids it.
    """
    tenant = _text(request.headers.get("Tenant")) or request.query_params.get("tenant") or default
    return _checked({"actor-id": "any", "tenant": tenant}).tenant


def message_id_of(request: Request, tenant: str) -> UUID:
    """The `Idempotency-Key` header as a message id, else a new one.

    The header may be in quotes, as structured fields (RFC 9651) are. A UUID is taken as it is; any other key
    always gives the same UUID within a tenant.

    Raises:
        Problem: 400 `invalid_envelope` if the key is empty or too long.
    """
    header = request.headers.get("Idempotency-Key")
    if header is None:
        return uuid_utils.compat.uuid7()
    key = (_text(header) or "").strip()
    if len(key) >= 2 and key[0] == key[-1] == '"':
        key = key[1:-1]
    if not 1 <= len(key) <= MAX_KEY:
        raise Problem(400, "invalid_envelope", f"an Idempotency-Key has 1 to {MAX_KEY} characters, not {len(key)}")
    try:
        return UUID(key)
    except ValueError:
        return uuid5(IDEMPOTENCY_SPACE, f"{tenant}/{key}")


def _checked(headers: dict[str, str]) -> Envelope:
    """What the engine would refuse later is refused here, by the same rules."""
    return read_envelope(Properties(type="any", message_id=str(IDEMPOTENCY_SPACE), headers=dict(headers)))


def _text(header: str | None) -> str | None:
    """A header as UTF-8, which is what clients send; ASGI hands it over as Latin-1."""
    if header is None:
        return None
    try:
        return header.encode("latin-1").decode()
    except UnicodeError:
        return header
