"""Whatever comes in over HTTP: a problem that tells what is wrong, and the next request is served."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import httpx
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from datapunk.settings import Settings
from datapunk.worker import prepare
from tests.accounts.module import accounts
from tests.properties import examples
from tests.serving import serving
from tests.working import DEADLINE_S

DEPOSIT = "/v1/commands/accounts.Deposit"
OPEN = "/v1/commands/accounts.OpenAccount"
QUERY = "/v1/queries/accounts.GetBalance"
JSON = {"Content-Type": "application/json"}
MEGABYTE = 1024 * 1024


@dataclass(frozen=True)
class Bad:
    """A request that can't be served, and what is to be said of it."""

    status: int
    code: str
    says: str = ""
    path: str = DEPOSIT
    method: str = "POST"
    body: bytes = b'{"cents":1}'
    headers: dict[str, str] = field(default_factory=lambda: {"Actor-Id": "a", **JSON})
    parameters: dict[str, str] = field(default_factory=lambda: {"wait": "10"})


CASES = {
    "50 MB": Bad(413, "oversized", "split the message", body=b'{"cents":1}' + b" " * 50 * MEGABYTE),
    "10,000 deep": Bad(400, "undecodable", "cents", body=b'{"cents":' + b"[" * 10_000 + b"]" * 10_000 + b"}"),
    "10,000 deep and unclosed": Bad(400, "undecodable", body=b"[" * 10_000),
    "NaN": Bad(400, "undecodable", body=b'{"cents":NaN}'),
    "Infinity": Bad(400, "undecodable", body=b'{"cents":1e999}'),
    "too large a number": Bad(400, "undecodable", "cents", body=b'{"cents":92233720368547758080}'),
    "invalid UTF-8": Bad(400, "undecodable", path=OPEN, body=b'{"owner":"\xff\xfe"}'),
    "lone surrogate": Bad(400, "undecodable", path=OPEN, body=b'{"owner":"\\ud800"}'),
    "NUL": Bad(400, "undecodable", path=OPEN, body=b'{"owner":"a\\u0000b"}'),
    "not JSON": Bad(400, "undecodable", body=b"hello"),
    "not an object": Bad(400, "undecodable", body=b"[1]"),
    "no body": Bad(400, "undecodable", "cents", body=b""),
    "missing field": Bad(400, "undecodable", "cents", body=b"{}"),
    "unknown field": Bad(400, "undecodable", "euros", body=b'{"cents":1,"euros":2}'),
    "wrong content type": Bad(
        415, "unsupported_content_type", "application/json", headers={"Actor-Id": "a", "Content-Type": "text/xml"}
    ),
    "not Avro": Bad(400, "undecodable", body=b"\xff", headers={"Actor-Id": "a", "Content-Type": "application/avro"}),
    "unknown schema": Bad(
        400,
        "unknown_schema",
        "0123456789abcdef",
        headers={"Actor-Id": "a", "Content-Type": "application/avro", "Schema": "0123456789abcdef"},
    ),
    "unknown command": Bad(404, "unknown_type", "accounts.Deposit", path="/v1/commands/accounts.Depsoit"),
    "a query as a command": Bad(404, "unknown_type", path="/v1/commands/accounts.GetBalance"),
    "a path in the type": Bad(404, "not_found", path="/v1/commands/..%2f..%2fetc%2fpasswd/x"),
    "missing actor id": Bad(400, "missing_actor_id", "Actor-Id", headers=JSON),
    "empty actor id": Bad(400, "missing_actor_id", "Actor-Id", headers={**JSON, "Actor-Id": ""}),
    "line break in actor id": Bad(
        400, "invalid_envelope", "control", headers=JSON, parameters={"actor_id": "a\r\nSet-Cookie: x=1"}
    ),
    "long actor id": Bad(400, "invalid_envelope", "200", headers={**JSON, "Actor-Id": "a" * 201}),
    "wrong tenant": Bad(400, "invalid_envelope", "tenant", headers={**JSON, "Actor-Id": "a", "Tenant": "A B"}),
    "empty key": Bad(
        400, "invalid_envelope", "Idempotency-Key", headers={**JSON, "Actor-Id": "a", "Idempotency-Key": ""}
    ),
    "long key": Bad(400, "invalid_envelope", headers={**JSON, "Actor-Id": "a", "Idempotency-Key": "k" * 256}),
    "no time to wait": Bad(400, "invalid_request", "wait", parameters={"wait": "0"}),
    "wait not a number": Bad(400, "invalid_request", "wait", parameters={"wait": "nan"}),
    "wait too long": Bad(400, "invalid_request", "wait", parameters={"wait": "1e9"}),
    "id not a UUID": Bad(400, "invalid_request", "id", method="GET", path="/v1/commands/42"),
    "position before the first": Bad(
        400,
        "invalid_request",
        "after_position",
        method="GET",
        path=QUERY,
        parameters={"account": "a", "after_position": "-1"},
    ),
    "position beyond all": Bad(
        400,
        "invalid_request",
        "after_position",
        method="GET",
        path=QUERY,
        parameters={"account": "a", "after_position": "9" * 30},
    ),
    "timeout below nothing": Bad(
        400, "invalid_request", "timeout", method="GET", path=QUERY, parameters={"account": "a", "timeout": "-1"}
    ),
    "accepts nothing of ours": Bad(
        406,
        "not_acceptable",
        "application/json",
        path=QUERY,
        body=b'{"account":"a"}',
        headers={**JSON, "Accept": "text/html"},
    ),
    "unknown path": Bad(404, "not_found", method="GET", path="/nowhere"),
    "wrong method": Bad(405, "method_not_allowed", "DELETE", method="DELETE", path="/v1/schemas"),
    "unknown schema fingerprint": Bad(404, "unknown_schema", method="GET", path="/v1/schemas/0123456789abcdef"),
}


@pytest.fixture
async def facade(settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    """Without a worker: what is refused here never gets so far."""
    await prepare([accounts], settings)
    async with serving([accounts], settings) as client:
        yield client


@pytest.mark.parametrize("name", CASES)
async def test_bad_input_is_a_problem_with_a_code(facade: httpx.AsyncClient, name: str) -> None:
    bad = CASES[name]
    answer = await facade.request(bad.method, bad.path, content=bad.body, headers=bad.headers, params=bad.parameters)
    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (bad.status, bad.code)
    assert answer.headers["content-type"] == "application/problem+json"
    assert problem["status"] == bad.status
    assert {"type", "title", "detail"} <= set(problem)
    assert bad.says in problem["detail"]
    assert "set-cookie" not in answer.headers
    await _is_served(facade)


async def test_a_long_query_string_is_refused_and_others_are_served(facade: httpx.AsyncClient) -> None:
    answer = await _raw(facade, f"GET {QUERY}?account={'a' * 200_000} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    assert answer.startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 414 "))
    await _is_served(facade)


async def test_half_a_request_keeps_nobody_else_waiting(facade: httpx.AsyncClient) -> None:
    halves = [b"POST /v1/comm", b"POST " + DEPOSIT.encode() + b" HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{"]
    sockets = [socket.create_connection((facade.base_url.host, facade.base_url.port)) for _ in range(60)]
    try:
        for index, each in enumerate(sockets):
            each.sendall(halves[index % 2])
        await _is_served(facade)
    finally:
        for each in sockets:
            each.close()


async def test_header_lines_that_are_smuggled_in_are_refused(facade: httpx.AsyncClient) -> None:
    answer = await _raw(facade, b"GET /v1/schemas HTTP/1.1\r\nHost: x\r\nActor-Id: a\x00b\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 400 ")
    await _is_served(facade)


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@hypothesis_settings(
    max_examples=examples(60), suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(body=st.binary(max_size=60) | values.map(lambda value: json.dumps(value).encode()))
async def test_no_body_at_all_makes_the_server_fail(http: httpx.AsyncClient, body: bytes) -> None:
    answer = await http.post(DEPOSIT, content=body, headers={"Actor-Id": "a", **JSON})
    assert answer.status_code in (202, 400)
    if answer.status_code == 400:
        assert answer.json()["code"] == "undecodable"


@hypothesis_settings(
    max_examples=examples(60), suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(
    parameters=st.dictionaries(
        st.sampled_from(["account", "after_position", "timeout", "tenant", "x"]), st.text(max_size=12), max_size=4
    )
)
async def test_no_url_makes_the_server_fail(http: httpx.AsyncClient, parameters: dict[str, str]) -> None:
    answer = await http.get(QUERY, params={**parameters, "timeout": parameters.get("timeout", "0.2")})
    assert answer.status_code in (200, 400, 422, 504)


async def _raw(http: httpx.AsyncClient, request: bytes) -> bytes:
    """What the server answers first to these very bytes."""
    reader, writer = await asyncio.open_connection(http.base_url.host, http.base_url.port)
    writer.write(request)
    answer = await asyncio.wait_for(reader.read(4096), DEADLINE_S)
    writer.close()
    return answer


async def _is_served(http: httpx.AsyncClient) -> None:
    answer = await http.post(DEPOSIT, json={"cents": 1}, headers={"Actor-Id": "good"})
    assert answer.status_code == 202
