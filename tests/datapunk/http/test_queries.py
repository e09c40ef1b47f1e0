"""Queries over HTTP: by URL and by body, reading one's own write, in every encoding."""

from __future__ import annotations

import httpx
import pytest

from datapunk.errors import QueryFailed
from datapunk.http.problems import problem_of
from datapunk.messages.registry import Registry
from datapunk.settings import Settings
from datapunk.worker import prepare
from tests.accounts.module import accounts
from tests.accounts.queries import Balance, GetBalance
from tests.serving import serving

QUERY = "/v1/queries/accounts.GetBalance"


async def deposit(http: httpx.AsyncClient, cents: int, **headers: str) -> int:
    answer = await http.post(
        "/v1/commands/accounts.Deposit",
        json={"cents": cents},
        headers={"Actor-Id": "a", **headers},
        params={"wait": 10},
    )
    return answer.json()["position"]


async def test_a_reader_who_names_its_position_reads_its_own_write(http: httpx.AsyncClient) -> None:
    for count in range(1, 11):
        position = await deposit(http, 1)
        answer = await http.get(QUERY, params={"account": "a", "after_position": position})
        assert answer.json() == {"cents": count, "deposits": count}


async def test_a_body_asks_the_same_as_the_url(http: httpx.AsyncClient) -> None:
    position = await deposit(http, 3)
    by_url = await http.get(QUERY, params={"account": "a", "after_position": position})
    by_body = await http.post(QUERY, json={"account": "a"}, params={"after_position": position})
    assert by_url.json() == by_body.json() == {"cents": 3, "deposits": 1}


@pytest.mark.parametrize("content_type", ["application/avro+json", "application/avro"])
async def test_question_and_answer_may_be_avro(http: httpx.AsyncClient, content_type: str) -> None:
    registry = Registry.of([accounts])
    position = await deposit(http, 3)
    answer = await http.post(
        QUERY,
        content=registry.encode(GetBalance(account="a"), content_type),
        headers={"Content-Type": content_type, "Accept": content_type},
        params={"after_position": position},
    )
    assert answer.headers["content-type"] == content_type
    balance = registry.decode("accounts.Balance", answer.content, content_type, answer.headers["schema"])
    assert balance == Balance(cents=3, deposits=1)


async def test_a_tenant_sees_its_own(http: httpx.AsyncClient) -> None:
    position = await deposit(http, 3, Tenant="one")
    parameters = {"account": "a", "after_position": position}
    assert (await http.get(QUERY, params=parameters, headers={"Tenant": "one"})).json()["cents"] == 3
    assert (await http.get(QUERY, params=parameters)).json()["code"] == "account_unknown"


async def test_a_rejected_query_is_a_422_with_its_code(http: httpx.AsyncClient) -> None:
    position = await deposit(http, 1)
    answer = await http.get(QUERY, params={"account": "nobody's", "after_position": position})
    assert (answer.status_code, answer.json()["code"]) == (422, "account_unknown")


async def test_a_position_that_no_event_has_is_not_waited_for(http: httpx.AsyncClient) -> None:
    position = await deposit(http, 1)
    answer = await http.get(QUERY, params={"account": "a", "after_position": position + 1000, "timeout": 30})
    assert (answer.status_code, answer.json()["code"]) == (422, "position_unknown")


async def test_a_query_that_nobody_answers_is_a_504(settings: Settings) -> None:
    await prepare([accounts], settings)
    async with serving([accounts], settings) as http:
        answer = await http.get(QUERY, params={"account": "a", "timeout": 0.2})
        assert (answer.status_code, answer.json()["code"]) == (504, "reply_timeout")


def test_a_query_that_may_not_wait_is_a_503_to_be_tried_again() -> None:
    response = problem_of(QueryFailed("64 wait already", code="too_many_waiting")).response()
    assert (response.status_code, response.headers["Retry-After"]) == (503, "2")


async def test_a_misspelt_parameter_is_told_what_was_perhaps_meant(http: httpx.AsyncClient) -> None:
    answer = await http.get(QUERY, params={"acount": "a"})
    assert (answer.status_code, answer.json()["code"]) == (400, "parameter_unknown")
    assert answer.json()["similar"] == ["account"]
