"""docs/reference/wire.md says what is so: its examples are sent, and what comes back is compared with the page."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import pytest
from aio_pika.abc import AbstractIncomingMessage
from fastavro.schema import fingerprint

from actors.lake.module import lake
from datapunk import errors
from datapunk.broker.topology import topology_of
from datapunk.messages.registry import Registry
from datapunk.settings import Settings
from tests.raw import PATIENCE_S, RawClient, raw_client
from tests.working import working

PAGE = (Path(__file__).parent.parent.parent / "docs" / "reference" / "wire.md").read_text()
COMMAND, OUTCOME, EVENT, QUERY, ANSWER, DEAD = (
    json.loads(block) for block in re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)
)
PROPERTIES = (
    *("message_id", "type", "content_type", "correlation_id", "reply_to"),
    *("timestamp", "delivery_mode", "app_id", "user_id", "expiration", "priority"),
)
UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
VOLATILE = re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+\+00:00|\d{10,}|amq\.gen-[\w-]+|lake\.commands\.\d|[\w.-]+:\d+$")


def seen(message: AbstractIncomingMessage) -> dict[str, Any]:
    """A message as the page shows one: without what differs from one version of the broker to another."""
    properties = {name: getattr(message, name) for name in PROPERTIES}
    if properties["timestamp"] is not None:
        properties["timestamp"] = int(properties["timestamp"].timestamp())
    shown = {name: value for name, value in properties.items() if value and (name, value) != ("delivery_mode", 1)}
    headers = {name: value for name, value in message.headers.items() if not name.startswith("x-")}
    return {"properties": shown, "headers": headers, "body": message.body.decode()}


def settled(value: Any) -> Any:
    """The same with what differs from run to run replaced: ids by their order, times and names by what they are."""
    text = json.dumps({**value, "body": json.loads(value["body"])}, sort_keys=True)
    ids: dict[str, str] = {}
    text = UUID.sub(lambda found: ids.setdefault(found[0], f"id {len(ids)}"), text)
    return {key: _settled(item) for key, item in json.loads(text).items()}


def _settled(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _settled(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_settled(item) for item in value]
    if isinstance(value, str):
        return VOLATILE.sub("…", value)
    return "…" if isinstance(value, int) and value > 10**9 else value


async def send(raw: RawClient, exchange: str, example: dict[str, Any]) -> None:
    properties = example["properties"]
    await raw.publish(
        exchange,
        properties["type"],
        example["body"].encode(),
        message_id=properties["message_id"],
        headers=example["headers"],
        content_type=properties["content_type"],
    )


async def next_of(queue: asyncio.Queue[AbstractIncomingMessage]) -> dict[str, Any]:
    return seen(await asyncio.wait_for(queue.get(), PATIENCE_S))


async def test_the_examples_are_real(settings: Settings) -> None:
    async with working([lake], settings), raw_client(settings) as raw:
        events = await raw.follow("lake")
        await send(raw, "lake.commands", COMMAND)
        assert settled(await next_of(raw.replies)) == settled(OUTCOME)
        assert settled(await next_of(events)) == settled(EVENT)
        await send(raw, "lake.queries", QUERY)
        assert settled(await next_of(raw.replies)) == settled(ANSWER)
        await send(raw, "lake.commands", DEAD | {"headers": {"actor-id": DEAD["headers"]["actor-id"]}})
        assert settled(seen(await raw.dead_letter("lake"))) == settled(DEAD)


async def test_the_example_in_binary_is_real(settings: Settings) -> None:
    async with working([lake], settings), raw_client(settings) as raw:
        await send(raw, "lake.commands", COMMAND)
        await raw.replies.get()
        await raw.publish(
            "lake.commands",
            "lake.RenameDataset",
            bytes.fromhex("0a5761726d65"),
            headers={"actor-id": "readings"},
            content_type="application/avro",
        )
        outcome = await raw.outcome(Registry.of([lake]))
        assert (outcome.status, outcome.version) == ("Accepted", 2)


def test_all_exchanges_and_queues_are_named() -> None:
    topology = topology_of(lake, shards=1)
    for name in (*(one.name for one in topology.exchanges), *(one.name for one in topology.queues)):
        assert f"`{name}`" in PAGE, name


def _is_of_a_message(each: object) -> bool:
    return isinstance(each, type) and issubclass(each, errors.MessageError) and each is not errors.SchemaError


@pytest.mark.parametrize(
    "code",
    [
        *sorted({each.code for each in vars(errors).values() if _is_of_a_message(each)}),
        *("unroutable", "reply_timeout", "too_many_waiting", "query_failed", "reply_unroutable"),
    ],
)
def test_all_codes_are_named(code: str) -> None:
    assert f"`{code}`" in PAGE


def test_the_fingerprint_of_int_is_right() -> None:
    value = fingerprint('"int"', "CRC-64-AVRO")
    assert f"`{value}`" in PAGE
