"""Commands over HTTP: sent, waited for, asked about later, repeated; in every encoding."""

from __future__ import annotations

from uuid import UUID, uuid4

import httpx
import pytest

from datapunk.messages.registry import Registry
from datapunk.settings import Settings
from datapunk.worker import prepare
from tests.accounts.commands import Deposit
from tests.accounts.module import accounts
from tests.serving import following, serving, take
from tests.working import eventually

DEPOSIT = "/v1/commands/accounts.Deposit"
TO_A = {"Actor-Id": "a"}


async def balance(http: httpx.AsyncClient, after: int = 0) -> int:
    answer = await http.get("/v1/queries/accounts.GetBalance", params={"account": "a", "after_position": after})
    return answer.json()["cents"]


async def test_a_command_is_taken_at_once_and_its_outcome_is_there_later(http: httpx.AsyncClient) -> None:
    sent = await http.post(DEPOSIT, json={"cents": 5}, headers=TO_A)
    assert sent.status_code == 202
    assert sent.json() | {"id": "", "links": {}} == {
        "id": "",
        "type": "accounts.Deposit",
        "actor_id": "a",
        "status": "sent",
        "links": {},
    }
    where = sent.headers["location"]
    assert where == sent.json()["links"]["outcome"] == f"/v1/commands/{sent.json()['id']}"

    async def outcome() -> httpx.Response | None:
        answer = await http.get(where)
        return answer if answer.status_code == 200 else None

    found = (await eventually(outcome, "the outcome")).json()
    assert (found["status"], found["actor"], found["version"]) == ("accepted", "accounts.account/a", 1)


async def test_an_id_that_was_not_processed_is_unknown(http: httpx.AsyncClient) -> None:
    answer = await http.get("/v1/commands/01936d5e-8f60-7c3a-9b1e-3f2a5b6c7d8e")
    assert (answer.status_code, answer.json()["code"]) == (404, "command_unknown")
    assert answer.headers["retry-after"] == "1"


async def test_one_who_waits_gets_the_outcome(http: httpx.AsyncClient) -> None:
    outcome = await http.post(DEPOSIT, json={"cents": 5}, headers=TO_A, params={"wait": 10})
    assert outcome.status_code == 200
    body = outcome.json()
    assert (body["status"], body["version"], len(body["events"])) == ("accepted", 1, 1)
    assert body["position"] > 0
    assert (await http.get(body["links"]["outcome"])).json() == body


async def test_a_rejection_is_a_409_with_code_and_details(http: httpx.AsyncClient) -> None:
    for owner in ("first", "second"):
        answer = await http.post(
            "/v1/commands/accounts.OpenAccount", json={"owner": owner}, headers=TO_A, params={"wait": 10}
        )
    assert answer.status_code == 409
    problem = answer.json()
    assert answer.headers["content-type"] == "application/problem+json"
    assert (problem["code"], problem["outcome"]) == ("account_exists", "rejected")
    assert problem["details"] == {"owner": "first"}
    assert (await http.get(f"/v1/commands/{problem['id']}")).json()["code"] == "account_exists"


async def test_a_command_whose_handler_fails_is_a_422(http: httpx.AsyncClient) -> None:
    answer = await http.post(
        "/v1/commands/accounts.Misbehave", json={"how": "decide"}, headers=TO_A, params={"wait": 10}
    )
    assert (answer.status_code, answer.json()["code"]) == (422, "handler_failed")
    assert answer.json()["outcome"] == "failed"


async def test_no_outcome_in_time_is_a_504_that_tells_the_id(settings: Settings) -> None:
    await prepare([accounts], settings)  # and nobody works
    async with serving([accounts], settings) as http:
        answer = await http.post(DEPOSIT, json={"cents": 5}, headers=TO_A, params={"wait": 0.2})
        assert (answer.status_code, answer.json()["code"]) == (504, "reply_timeout")
        assert answer.json()["links"]["outcome"] == f"/v1/commands/{UUID(answer.json()['id'])}"


async def test_a_retry_with_the_same_key_has_no_second_effect_and_the_same_answer(http: httpx.AsyncClient) -> None:
    headers = {**TO_A, "Idempotency-Key": "order 7, first payment"}
    first, second = [
        await http.post(DEPOSIT, json={"cents": 5}, headers=headers, params={"wait": 10}) for _ in range(2)
    ]
    assert first.status_code == second.status_code == 200
    assert first.json() == second.json()
    assert await balance(http, first.json()["position"]) == 5


async def test_another_command_with_the_same_key_is_refused(http: httpx.AsyncClient) -> None:
    headers = {**TO_A, "Idempotency-Key": "k"}
    await http.post(DEPOSIT, json={"cents": 5}, headers=headers, params={"wait": 10})
    answer = await http.post(DEPOSIT, json={"cents": 6}, headers=headers, params={"wait": 10})
    assert (answer.status_code, answer.json()["code"]) == (422, "command_id_reused")


async def test_the_same_key_of_another_tenant_is_another_command(http: httpx.AsyncClient) -> None:
    ids = set()
    for tenant in ("one", "two"):
        headers = {**TO_A, "Idempotency-Key": "k", "Tenant": tenant}
        outcome = await http.post(DEPOSIT, json={"cents": 5}, headers=headers, params={"wait": 10})
        assert outcome.json()["version"] == 1
        ids.add(outcome.json()["id"])
    assert len(ids) == 2


async def test_an_outcome_is_shown_to_its_own_tenant_only(http: httpx.AsyncClient) -> None:
    outcome = await http.post(DEPOSIT, json={"cents": 5}, headers={**TO_A, "Tenant": "one"}, params={"wait": 10})
    where = outcome.json()["links"]["outcome"]
    assert (await http.get(where, headers={"Tenant": "one"})).status_code == 200
    assert (await http.get(where)).status_code == 404


async def test_one_id_of_two_tenants_is_two_commands(http: httpx.AsyncClient) -> None:
    id = str(uuid4())
    for tenant, cents in (("one", 5), ("two", 6)):
        headers = {**TO_A, "Idempotency-Key": id, "Tenant": tenant}
        outcome = await http.post(DEPOSIT, json={"cents": cents}, headers=headers, params={"wait": 10})
        assert (outcome.status_code, outcome.json()["version"]) == (200, 1)
        found = await http.get(f"/v1/commands/{id}", headers={"Tenant": tenant})
        assert found.json()["position"] == outcome.json()["position"]


@pytest.mark.parametrize("content_type", ["application/avro+json", "application/avro"])
async def test_a_body_may_be_avro(http: httpx.AsyncClient, content_type: str) -> None:
    body = Registry.of([accounts]).encode(Deposit(cents=7), content_type)
    headers = {**TO_A, "Content-Type": content_type}
    outcome = await http.post(DEPOSIT, content=body, headers=headers, params={"wait": 10})
    assert outcome.status_code == 200
    assert await balance(http, outcome.json()["position"]) == 7


async def test_an_actor_id_with_any_character_goes_into_the_url(http: httpx.AsyncClient) -> None:
    outcome = await http.post(DEPOSIT, json={"cents": 5}, params={"wait": 10, "actor_id": "Zürich/№ 1"})
    assert outcome.json()["actor"] == "accounts.account/Zürich/№ 1"


async def test_the_correlation_id_travels_to_the_event(http: httpx.AsyncClient) -> None:
    headers = {**TO_A, "Correlation-Id": "c-42"}
    answer = await http.post(DEPOSIT, json={"cents": 5}, headers=headers, params={"wait": 10})
    assert answer.headers["correlation-id"] == "c-42"
    async with following(http, after=0) as events:
        (event,) = await take(events, 1)
    assert event.data["correlationid"] == "c-42"
