"""The AsyncAPI document: valid by AsyncAPI's own parser, and true of what is at the broker and of real messages."""

from __future__ import annotations

import json
import re
import subprocess
from functools import cache
from typing import Any

import httpx
import pytest
from jsonschema import Draft202012Validator
from typer.testing import CliRunner

from actors.lake.module import lake
from datapunk.broker.topology import topology_of
from datapunk.cli.main import app
from datapunk.http.asyncapi import asyncapi_document
from datapunk.messages.catalogue import Catalogue
from datapunk.messages.message import Task
from datapunk.messages.registry import Registry
from tests.accounts.module import accounts
from tests.building import ROOT, built, node

MODULES = [accounts, lake]
CHECKER = ROOT / "tests" / "cross" / "node"
BROKER = "amqp://somebody:secret@broker.example:5672/place"
PATIENCE_S = 60
EXAMPLES = [
    json.loads(block)
    for block in re.findall(r"```json\n(.*?)```", (ROOT / "docs/reference/wire.md").read_text(), re.DOTALL)
]


@cache
def document(broker_url: str = BROKER) -> dict[str, Any]:
    registry = Registry.of(MODULES)
    return asyncapi_document(registry, Catalogue(registry, MODULES), broker_url)


def checked(text: str) -> dict[str, Any]:
    """What AsyncAPI's own parser says of a document."""
    command = built(CHECKER, node("asyncapi.js"))
    answer = subprocess.run(command, input=text, capture_output=True, text=True, check=False, timeout=PATIENCE_S)
    assert answer.returncode == 0, answer.stderr
    return json.loads(answer.stdout)


@pytest.mark.timeout(600)  # the parser is installed the first time
def test_asyncapis_own_parser_finds_it_valid() -> None:
    result = checked(json.dumps(document()))
    codes = {each["code"] for each in result["diagnostics"]}
    assert (result["valid"], codes) == (True, {"asyncapi-latest-version"}), result["diagnostics"]


@pytest.mark.timeout(600)
def test_asyncapis_own_parser_finds_all_messages_with_their_headers_and_fields() -> None:
    messages = {each["name"]: each for each in checked(json.dumps(document()))["messages"]}
    registry = Registry.of(MODULES)
    # Tasks go from a module to itself, and are nobody else's business.
    wanted = {name for name in registry.current if not issubclass(registry.class_of(name), Task)}
    assert set(messages) == wanted
    deposit = messages["accounts.Deposit"]
    assert (deposit["type"], deposit["fields"]) == ("accounts.Deposit", ["cents"])
    assert deposit["required"] == ["message_id", "actor-id"]


def test_commands_and_queries_are_published_where_the_broker_has_a_binding_for_them() -> None:
    bindings = {
        (binding.source, binding.routing_key)
        for module in MODULES
        for binding in topology_of(module, shards=1).bindings
        if binding.source.endswith((".commands", ".queries"))
    }
    assert bindings == _places("receive")


def test_events_have_the_keys_that_they_are_published_with() -> None:
    assert ("lake.events", "{tenant}.lake.dataset.DatasetCreated") in _places("send")
    assert ("accounts.events", "{tenant}.accounts.account.Deposited") in _places("send")


def test_a_query_is_answered_with_its_answer_or_an_outcome() -> None:
    reply = document()["operations"]["lake.FindRecords"]["reply"]
    names = {reference["$ref"].rpartition("/")[2] for reference in reply["messages"]}
    assert names == {"lake.RecordPage", "datapunk.Outcome"}


@pytest.mark.parametrize("example", EXAMPLES[:5], ids=lambda example: example["properties"]["type"])
def test_the_real_messages_in_the_wires_reference_are_as_it_says(example: dict[str, Any]) -> None:
    message = document()["components"]["messages"][example["properties"]["type"]]
    trait = document()["components"]["messageTraits"][message["traits"][0]["$ref"].rpartition("/")[2]]
    _validate(message["payload"], json.loads(example["body"]))
    _validate(trait["headers"], example["properties"] | example["headers"])


def test_a_message_with_a_wrong_body_is_not_as_it_says() -> None:
    message = document()["components"]["messages"]["lake.CreateDataset"]
    errors = Draft202012Validator({**document(), **message["payload"]}).iter_errors({"name": 1})
    assert {tuple(error.path) for error in errors} == {(), ("name",)}


def test_it_says_where_the_broker_is_but_not_the_password() -> None:
    assert (
        document()["servers"]["broker"] | {"host": "broker.example:5672", "pathname": "/place"}
        == (document()["servers"]["broker"])
    )
    assert "secret" not in json.dumps(document())
    assert document()["channels"]["lake.GetDataset"]["bindings"]["amqp"]["exchange"]["vhost"] == "place"


def test_it_is_printed_on_the_command_line_without_any_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATAPUNK_BROKER_URL", "amqp://guest:guest@127.0.0.1:1/")
    printed = json.loads(CliRunner().invoke(app, ["schemas", "asyncapi"]).stdout)
    assert printed["servers"]["broker"]["host"] == "127.0.0.1:1"
    assert "lake.CreateDataset" in printed["operations"]


async def test_it_is_served_beside_the_openapi_document(http: httpx.AsyncClient) -> None:
    served = (await http.get("/asyncapi.json")).json()
    assert served["asyncapi"] == "3.0.0"
    assert {"accounts.Deposit", "accounts.Deposited", "accounts.GetBalance"} <= set(served["operations"])


def _places(action: str) -> set[tuple[str, str]]:
    """Exchanges and routing keys of what is received or sent."""
    places: set[tuple[str, str]] = set()
    for name, operation in document()["operations"].items():
        if operation["action"] == action:
            channel = document()["channels"][name]
            places.add((channel["bindings"]["amqp"]["exchange"]["name"], channel["address"]))
    return places


def _validate(schema: dict[str, Any], value: Any) -> None:
    """Of a part of the document, whose references are to the whole."""
    Draft202012Validator({**document(), **schema}).validate(value)
