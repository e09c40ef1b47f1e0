"""Signatures of Standard Webhooks (https://www.standardwebhooks.com), scheme v1: HMAC-SHA256."""

from __future__ import annotations

import binascii
import hmac
from base64 import b64decode, b64encode
from collections.abc import Iterable
from hashlib import sha256

PREFIX = "whsec_"  # of a secret, before its key in base64


class SecretUnfit(Exception):
    """A secret isn't one to sign with."""


def headers_of(id: str, timestamp: int, body: bytes, secrets: Iterable[str]) -> dict[str, str]:
    """The headers by which a receiver knows what it gets, and that it's from us.

    Args:
        id: the same whenever the same is sent again.
        timestamp: of this attempt, seconds of Unix time.
        body: as it's sent.
        secrets: each signs, so that a receiver may change from one to another in its own time.

    Raises:
        SecretUnfit: if one can't sign.
    """
    signed = f"{id}.{timestamp}.".encode() + body
    signatures = [f"v1,{b64encode(hmac.digest(_key(secret), signed, sha256)).decode()}" for secret in secrets]
    return {"webhook-id": id, "webhook-timestamp": str(timestamp), "webhook-signature": " ".join(signatures)}


def _key(secret: str) -> bytes:
    try:
        key = b64decode(secret.removeprefix(PREFIX), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not key:
        raise SecretUnfit(f"it isn't {PREFIX} and a key in base64")
    return key
