"""What the API tells about itself: schemas, and an OpenAPI document that holds for what really happens."""

from __future__ import annotations

import json
import re
from typing import Any

import httpx
import pytest
from openapi_spec_validator import validate

from actors.lake.module import lake
from datapunk.messages.schema import parse_text
from datapunk.settings import Settings
from datapunk.worker import prepare
from tests.accounts.module import accounts
from tests.serving import serving


async def test_schemas_are_listed_and_had_by_name_and_fingerprint(http: httpx.AsyncClient) -> None:
    listed = (await http.get("/v1/schemas")).json()["schemas"]
    by_name = {each["name"]: each for each in listed}
    assert {"accounts.Deposit", "accounts.Deposited", "accounts.GetBalance", "accounts.Balance"} <= set(by_name)
    deposit = by_name["accounts.Deposit"]
    assert (deposit["kind"], deposit["module"], deposit["doc"]) == ("command", "accounts", "Put money in.")
    for path in (deposit["links"]["schema"], "/v1/schemas/accounts.Deposit"):
        answer = await http.get(path)
        assert answer.headers["schema"] == deposit["fingerprint"]
        assert [each["name"] for each in answer.json()["fields"]] == ["cents"]


async def test_the_fingerprint_of_a_schema_is_that_of_the_text_served(http: httpx.AsyncClient) -> None:
    for each in (await http.get("/v1/schemas")).json()["schemas"]:
        served = (await http.get(each["links"]["schema"])).text
        assert parse_text(served).fingerprint == each["fingerprint"]


async def test_the_openapi_document_is_valid(settings: Settings) -> None:
    await prepare([accounts, lake], settings)
    async with serving([accounts, lake], settings) as http:
        document = (await http.get("/openapi.json")).json()
    validate(document)
    assert document["openapi"].startswith("3.1")
    for path in ("/v1/commands/lake.CreateDataset", "/v1/commands/accounts.Deposit", "/v1/queries/lake.FindRecords"):
        assert path in document["paths"]


async def test_every_example_in_the_document_is_taken(http: httpx.AsyncClient) -> None:
    paths: dict[str, Any] = (await http.get("/openapi.json")).json()["paths"]
    sent = 0
    for path, operations in paths.items():
        if path.startswith("/v1/commands/accounts."):
            example = operations["post"]["requestBody"]["content"]["application/json"]["example"]
            answer = await http.post(path, content=json.dumps(example), headers={"Actor-Id": "a"})
            assert answer.status_code == 202, (path, answer.text)
            sent += 1
    assert sent == 3


@pytest.mark.parametrize("path", ["/docs", "/redoc"])
async def test_there_is_a_page_to_read_it_without_an_internet(http: httpx.AsyncClient, path: str) -> None:
    answer = await http.get(path)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/html")
    loaded = re.findall(r"""(?:<script[^>]*src|<link[^>]*href)=["']([^"']+)""", answer.text)
    assert loaded
    for place in loaded:
        assert place.startswith("/")
        assert (await http.get(place)).status_code == 200


@pytest.mark.parametrize("name", ["%00", "0123456789abcdef", "accounts.Steal", "%C3%A4", "a" * 2000])
async def test_a_schema_that_is_not_there_is_not_found(http: httpx.AsyncClient, name: str) -> None:
    answer = await http.get(f"/v1/schemas/{name}")
    assert (answer.status_code, answer.json()["code"]) == (404, "unknown_schema")
