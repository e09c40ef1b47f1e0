"""Events over HTTP: live, from a position, resumed; for many, for the slow, and for one tenant only."""

from __future__ import annotations

import asyncio
import socket
from contextlib import AsyncExitStack

import httpx
import pytest

from tests.serving import Heard, following, take
from tests.working import DEADLINE_S

DEPOSIT = "/v1/commands/accounts.Deposit"


async def deposit(http: httpx.AsyncClient, actor: str = "a", cents: int = 1, tenant: str = "default") -> int:
    """Returns the event's position."""
    headers = {"Actor-Id": actor, "Tenant": tenant}
    answer = await http.post(DEPOSIT, json={"cents": cents}, headers=headers, params={"wait": 20})
    return answer.json()["position"]


async def deposits(http: httpx.AsyncClient, count: int) -> list[int]:
    return sorted(await asyncio.gather(*(deposit(http, f"actor-{n}") for n in range(count))))


def positions(events: list[Heard]) -> list[int]:
    return [event.id for event in events]


async def test_an_event_is_heard_live_as_a_cloud_event(http: httpx.AsyncClient) -> None:
    async with following(http) as events:
        position = await deposit(http, cents=5)
        (event,) = await take(events, 1)
    assert (event.id, event.type) == (position, "accounts.Deposited")
    assert event.data["data"] == {"cents": 5, "balance": 5}
    expected = {
        "specversion": "1.0",
        "type": "accounts.Deposited",
        "source": "/accounts",
        "subject": "accounts.account/a",
        "position": str(position),
        "version": 1,
        "tenant": "default",
        "datacontenttype": "application/json",
    }
    assert event.data | expected == event.data


async def test_from_a_position_history_comes_first_and_goes_on_live(http: httpx.AsyncClient) -> None:
    first, *rest = await deposits(http, 5)
    async with following(http, after=first) as events:
        assert positions(await take(events, 4)) == rest
        live = await deposit(http)
        assert positions(await take(events, 1)) == [live]


async def test_one_who_comes_back_goes_on_where_it_was(http: httpx.AsyncClient) -> None:
    written = await deposits(http, 3)
    async with following(http, after=0) as events:
        heard = await take(events, 3)
    written += await deposits(http, 4)
    resume = {"Last-Event-ID": str(heard[-1].id)}
    async with following(http, headers=resume, after=0) as events:  # the header counts, as a browser sends it
        heard += await take(events, 4)
    assert positions(heard) == written


async def test_many_clients_hear_the_same_in_the_same_order(http: httpx.AsyncClient) -> None:
    async with AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(following(http)) for _ in range(40)]
        written = await deposits(http, 50)
        heard = await asyncio.gather(*(take(client, 50) for client in clients))
    assert [positions(each) for each in heard] == [written] * 40


async def test_a_client_that_reads_late_holds_up_nobody_and_misses_nothing(http: httpx.AsyncClient) -> None:
    with socket.socket() as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.connect((http.base_url.host, http.base_url.port))
        slow.sendall(b"GET /v1/events?after=0 HTTP/1.1\r\nHost: x\r\n\r\n")
        async with following(http, after=0) as events:
            written = await deposits(http, 300)
            assert positions(await take(events, 300)) == written
        slow.setblocking(False)
        received = b""
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(DEADLINE_S):
            while received.count(b"\nid: ") < 300:
                received += await loop.sock_recv(slow, 65536)
    ids = [int(line.removeprefix(b"id: ")) for line in received.splitlines() if line.startswith(b"id: ")]
    assert ids == written


async def test_another_tenants_events_are_not_heard(http: httpx.AsyncClient) -> None:
    async with following(http) as ours, following(http, tenant="other") as theirs:
        foreign = await deposit(http, tenant="other")
        own = await deposit(http)
        assert positions(await take(ours, 1)) == [own]
        assert positions(await take(theirs, 1)) == [foreign]


async def test_only_what_the_pattern_means_is_heard(http: httpx.AsyncClient) -> None:
    async with following(http, pattern="accounts.account.AccountOpened") as events:
        await deposit(http)
        await http.post("/v1/commands/accounts.OpenAccount", json={"owner": "x"}, headers={"Actor-Id": "a"})
        assert [event.type for event in await take(events, 1)] == ["accounts.AccountOpened"]


@pytest.mark.parametrize(
    ("parameters", "headers", "code"),
    [
        ({"pattern": "a b"}, {}, "pattern_invalid"),
        ({"after": "-1"}, {}, "position_invalid"),
        ({"after": "99999999999999999999"}, {}, "position_invalid"),
        ({"after": "x"}, {}, "invalid_request"),
        ({}, {"Last-Event-ID": "x"}, "position_invalid"),
        ({}, {"Last-Event-ID": "9" * 400}, "position_invalid"),
        ({"tenant": "a b"}, {}, "invalid_envelope"),
    ],
)
async def test_what_can_not_be_followed_is_refused(
    http: httpx.AsyncClient, parameters: dict[str, str], headers: dict[str, str], code: str
) -> None:
    answer = await http.get("/v1/events", params=parameters, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (400, code)
