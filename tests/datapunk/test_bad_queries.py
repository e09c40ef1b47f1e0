"""Whatever is wrong with a query: who asks is told, and where nobody can be told the original is kept."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator
from typing import Any

import pytest
from psycopg import AsyncConnection

from datapunk.broker.rpc import CONCURRENT
from datapunk.messages.outcome import Status
from datapunk.messages.registry import Registry
from datapunk.settings import Settings
from tests.accounts.module import accounts
from tests.datapunk.test_bad_input import GZIPPED, Bad
from tests.projecting import set_paused
from tests.raw import PATIENCE_S, RawClient, raw_client
from tests.working import working

GOOD = b'{"account":"a"}'
QUERY = "accounts.GetBalance"
BINARY = {"content_type": "application/avro"}

CASES = {
    "not Avro": Bad("undecodable", "malformed", b"hello", QUERY),
    "empty": Bad("undecodable", "truncated", b"", QUERY),
    "unknown schema fingerprint": Bad(
        "unknown_schema", "no schema with fingerprint", GOOD, QUERY, headers={"schema": "0123456789abcdef"}
    ),
    "wrong type": Bad("undecodable", "$.account", b'{"account":1}', QUERY),
    "unknown field": Bad("undecodable", "unknown field `currency`", b'{"account":"a","currency":"EUR"}', QUERY),
    "unknown query type": Bad("unknown_type", "nobody handles 'accounts.GetSecrets'", GOOD, "accounts.GetSecrets"),
    "type and routing key differ": Bad(
        "unknown_type", "accounts.GetSecrets", GOOD, QUERY, {"type": "accounts.GetSecrets"}
    ),
    "a command": Bad("unknown_type", "is not a query", b'{"cents":1}', QUERY, {"type": "accounts.Deposit"}),
    "too deep": Bad("undecodable", QUERY, b'{"account":' + b"[" * 10_000 + b"]" * 10_000 + b"}", QUERY),
    "NaN": Bad("undecodable", "malformed", b'{"account":NaN}', QUERY),
    "Infinity": Bad("undecodable", "malformed", b'{"account":Infinity}', QUERY),
    "invalid UTF-8": Bad("undecodable", "UTF-8", b'{"account":"\xff\xfe"}', QUERY),
    "NUL in a text": Bad("undecodable", "NUL", b'{"account":"a\\u0000"}', QUERY),
    "NUL in a text in binary": Bad("undecodable", "NUL", b"\x04a\x00", QUERY, BINARY),
    "truncated binary": Bad("undecodable", "cut off", b"\x04a", QUERY, BINARY),
    "message id not a UUID": Bad("invalid_envelope", "must be a UUID", GOOD, QUERY, {"message_id": "42"}),
    "missing type": Bad("invalid_envelope", "`type` is missing", GOOD, QUERY, {"type": ""}),
    "unknown content type": Bad("unsupported_content_type", "text/plain", GOOD, QUERY, {"content_type": "text/plain"}),
    "tenant with blanks": Bad("invalid_envelope", "tenant", GOOD, QUERY, headers={"tenant": "a b"}),
    "patience that isn't a number": Bad(
        "invalid_envelope", "`timeout-ms`", GOOD, QUERY, headers={"timeout-ms": "soon"}
    ),
    "no patience": Bad("invalid_envelope", "`timeout-ms`", GOOD, QUERY, headers={"timeout-ms": 0}),
    "position that isn't a number": Bad(
        "invalid_envelope", "`after-position`", GOOD, QUERY, headers={"after-position": 1.5}
    ),
    "negative position": Bad("invalid_envelope", "`after-position`", GOOD, QUERY, headers={"after-position": -1}),
    "position of no event": Bad(
        "position_unknown", "no position 4611686018427387904", GOOD, QUERY, headers={"after-position": 2**62}
    ),
    "50 MB in gzip": Bad("oversized", "unpacked", gzip.compress(GOOD + b" " * 50 * 1024 * 1024), QUERY, GZIPPED),
    "50 MB": Bad("oversized", "52,428,815 bytes", GOOD + b" " * 50 * 1024 * 1024, QUERY),
}


@pytest.fixture
async def raw(settings: Settings) -> AsyncIterator[RawClient]:
    async with working([accounts], settings), raw_client(settings) as client:
        yield client


@pytest.fixture(scope="module")
def registry() -> Registry:
    return Registry.of([accounts])


async def _publish(raw: RawClient, bad: Bad, reply_to: str | None = "") -> str:
    headers = {name: value for name, value in bad.headers.items() if name != "actor-id"}
    return await raw.publish(
        "accounts.queries", bad.routing_key, bad.body, headers=headers, reply_to=reply_to, **bad.options
    )


async def _is_served(raw: RawClient, registry: Registry) -> None:
    await raw.deposit("a", 1)
    position = (await raw.outcome(registry)).position
    id = await raw.publish("accounts.queries", QUERY, GOOD, headers={"after-position": position})
    message = await asyncio.wait_for(raw.replies.get(), PATIENCE_S)
    assert (message.correlation_id, message.type) == (id, "accounts.Balance")


@pytest.mark.parametrize("name", CASES)
async def test_a_bad_query_is_answered_with_what_is_wrong_and_the_next_is_served(
    raw: RawClient, registry: Registry, name: str
) -> None:
    bad = CASES[name]
    await _publish(raw, bad)
    outcome = await raw.outcome(registry)
    assert (outcome.status, outcome.code) == (Status.Failed, bad.code)
    assert bad.says in outcome.message
    await _is_served(raw, registry)


@pytest.mark.parametrize("name", ["not Avro", "unknown query type"])
async def test_a_bad_query_that_nobody_waits_for_is_kept(raw: RawClient, registry: Registry, name: str) -> None:
    bad = CASES[name]
    id = await _publish(raw, bad, reply_to=None)
    dead = await raw.dead_letter()
    assert (dead.body, dead.message_id) == (bad.body, id)
    await _is_served(raw, registry)


async def test_a_query_without_a_queue_for_its_answer_is_kept(raw: RawClient) -> None:
    id = await raw.publish("accounts.queries", QUERY, GOOD, reply_to=None)
    dead = await raw.dead_letter()
    assert (dead.message_id, dead.headers["dead-reason"]) == (id, "invalid_envelope")
    assert "`reply_to` is missing" in str(dead.headers["dead-message"])


async def test_a_position_that_is_not_reached_is_waited_for_as_long_as_the_asker_says(
    raw: RawClient, registry: Registry, connection: AsyncConnection[Any]
) -> None:
    await _is_served(raw, registry)
    await set_paused(connection, True)
    await raw.deposit("a", 1)
    position = (await raw.outcome(registry)).position
    await raw.publish("accounts.queries", QUERY, GOOD, headers={"after-position": position, "timeout-ms": 100})
    outcome = await raw.outcome(registry)
    assert (outcome.status, outcome.code) == (Status.Failed, "reply_timeout")


async def test_those_that_wait_for_a_position_hold_up_no_other(
    raw: RawClient, registry: Registry, connection: AsyncConnection[Any]
) -> None:
    await _is_served(raw, registry)
    await set_paused(connection, True)
    await raw.deposit("a", 1)
    position = (await raw.outcome(registry)).position
    waiting = {
        await raw.publish("accounts.queries", QUERY, GOOD, headers={"after-position": position})
        for _ in range(2 * CONCURRENT)
    }
    id = await raw.publish("accounts.queries", QUERY, GOOD)
    first = await asyncio.wait_for(raw.replies.get(), PATIENCE_S)
    assert (first.correlation_id, first.body) == (id, b'{"cents":1,"deposits":1}')
    await set_paused(connection, False)
    replies = [await asyncio.wait_for(raw.replies.get(), PATIENCE_S) for _ in waiting]
    assert {message.correlation_id for message in replies} == waiting
    assert {message.body for message in replies} == {b'{"cents":2,"deposits":2}'}
