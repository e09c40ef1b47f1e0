"""Signatures are those of Standard Webhooks: the official library agrees."""

from __future__ import annotations

import time
from base64 import b64encode
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook

from tasks.nexus.signing import SecretUnfit, headers_of

keys = st.binary(min_size=24, max_size=64)


@given(keys, st.text(max_size=1000), st.uuids(), st.booleans())
def test_the_official_library_makes_the_same_signature(key: bytes, body: str, id: object, has_prefix: bool) -> None:
    secret = ("whsec_" if has_prefix else "") + b64encode(key).decode()
    now = int(time.time())
    headers = headers_of(str(id), now, body.encode(), [secret])
    expected = Webhook(secret).sign(str(id), datetime.fromtimestamp(now, UTC), body)
    assert headers["webhook-signature"] == expected


def test_each_secret_signs() -> None:
    secrets = ["whsec_" + b64encode(letter * 24).decode() for letter in (b"a", b"b")]
    headers = headers_of("1", int(time.time()), b'{"a":1}', secrets)
    for secret in secrets:
        assert Webhook(secret).verify('{"a":1}', headers) == {"a": 1}


@pytest.mark.parametrize("secret", ["", "whsec_", "whsec_?", "not base64"])
def test_what_is_no_key_signs_nothing(secret: str) -> None:
    with pytest.raises(SecretUnfit):
        headers_of("1", 1, b"", [secret])
