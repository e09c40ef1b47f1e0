"""Lake over HTTP: data in by commands, out by queries, as a client without a library does it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from actors.lake.module import lake
from datapunk.settings import Settings
from tests.serving import following, serving, take
from tests.working import working

SCHEMA = {
    "type": "record",
    "name": "Hour",
    "fields": [{"name": "station", "type": "string"}, {"name": "temp", "type": ["null", "double"], "default": None}],
}
# Records go in as Avro JSON of the dataset's own schema, and come out as plain JSON.
TAGGED = [
    {"station": "JFK", "temp": {"double": 1.5}},
    {"station": "LGA", "temp": None},
    {"station": "EWR", "temp": {"double": -3.0}},
]
HOURS = [{"station": "JFK", "temp": 1.5}, {"station": "LGA", "temp": None}, {"station": "EWR", "temp": -3.0}]


@pytest.fixture
async def http(settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    async with working([lake], settings), serving([lake], settings) as client:
        yield client


async def command(http: httpx.AsyncClient, type: str, actor: str, body: Any) -> dict[str, Any]:
    answer = await http.post(f"/v1/commands/lake.{type}", json=body, headers={"Actor-Id": actor}, params={"wait": 20})
    assert answer.status_code == 200, answer.text
    return answer.json()


async def weather(http: httpx.AsyncClient) -> int:
    """A dataset with three records; returns the position up to which it's written."""
    await command(http, "CreateDataset", "weather", {"name": "Weather", "schema": SCHEMA, "partitions": 1})
    return (await command(http, "AppendRecords", "weather:0", {"records": TAGGED}))["position"]


async def find(http: httpx.AsyncClient, **parameters: Any) -> httpx.Response:
    return await http.get("/v1/queries/lake.FindRecords", params={"dataset": "weather", **parameters})


async def test_records_that_went_in_come_out_as_they_were(http: httpx.AsyncClient) -> None:
    position = await weather(http)
    answer = await find(http, after_position=position)
    assert (answer.status_code, answer.json()["records"]) == (200, HOURS)


async def test_a_number_that_no_long_holds_is_the_askers_mistake(http: httpx.AsyncClient) -> None:
    answer = await find(http, limit=2**65)
    assert (answer.status_code, answer.json()["code"]) == (400, "undecodable")
    assert "limit" in answer.json()["detail"]


async def test_conditions_go_into_the_url_as_json(http: httpx.AsyncClient) -> None:
    position = await weather(http)
    answer = await find(
        http,
        after_position=position,
        where='[{"field": "temp", "op": "GT", "value": -10}]',
        order='[{"field": "temp"}]',
    )
    assert [record["station"] for record in answer.json()["records"]] == ["EWR", "JFK"]


async def test_a_page_leads_to_the_next(http: httpx.AsyncClient) -> None:
    position = await weather(http)
    first = (await find(http, after_position=position, limit=2)).json()
    rest = (await find(http, limit=2, after=first["next"])).json()
    assert [*first["records"], *rest["records"]] == HOURS
    assert rest["next"] is None


@pytest.mark.parametrize("limit", ["-1", "0", "10001"])
async def test_a_limit_out_of_range_is_refused(http: httpx.AsyncClient, limit: str) -> None:
    position = await weather(http)
    answer = await find(http, after_position=position, limit=limit)
    assert answer.status_code == 422
    assert "limit" in answer.json()["detail"]


@pytest.mark.parametrize("limit", ["x", "1.5", "99999999999", "", "null"])
async def test_a_limit_that_is_no_number_is_refused(http: httpx.AsyncClient, limit: str) -> None:
    answer = await find(http, limit=limit)
    assert answer.status_code == 400
    assert "limit" in answer.json()["detail"]


async def test_a_record_that_does_not_fit_is_refused_with_its_place(http: httpx.AsyncClient) -> None:
    await command(http, "CreateDataset", "weather", {"name": "Weather", "schema": SCHEMA, "partitions": 1})
    answer = await http.post(
        "/v1/commands/lake.AppendRecords",
        json={"records": [TAGGED[0], {"station": 7}]},
        headers={"Actor-Id": "weather:0"},
        params={"wait": 20},
    )
    assert answer.status_code == 409
    assert "$[1].station" in answer.json()["detail"]


async def test_what_happens_is_heard_as_it_happens(http: httpx.AsyncClient) -> None:
    async with following(http, pattern="lake.#") as events:
        await weather(http)
        created, appended = await take(events, 2)
    assert (created.type, appended.type) == ("lake.DatasetCreated", "lake.RecordsAppended")
    assert appended.data["data"]["count"] == 3
