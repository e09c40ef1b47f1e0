"""Events are CloudEvents to the official SDK: as the broker delivers them, and as HTTP does; and one event is one."""

from __future__ import annotations

import asyncio
import json

import pytest
from aio_pika.abc import AbstractIncomingMessage
from cloudevents.core.base import BaseCloudEvent
from cloudevents.core.bindings.amqp import AMQPMessage, from_binary
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent

from datapunk.settings import Settings
from tests.accounts.module import accounts
from tests.raw import PATIENCE_S, raw_client
from tests.serving import following, serving, take
from tests.working import working

Delivered = tuple[AbstractIncomingMessage, BaseCloudEvent, BaseCloudEvent]


@pytest.fixture
async def delivered(settings: Settings) -> Delivered:
    """A real event, and what the SDK reads of it from the broker and from HTTP."""
    async with working([accounts], settings), serving([accounts], settings) as http, raw_client(settings) as raw:
        events = await raw.follow("accounts")
        async with following(http) as heard:
            await raw.deposit("a", 5)
            message = await asyncio.wait_for(events.get(), PATIENCE_S)
            (event,) = await take(heard, 1)
    amqp = AMQPMessage({"content-type": message.content_type}, dict(message.headers), message.body)
    return message, from_binary(amqp, JSONFormat()), JSONFormat().read(CloudEvent, json.dumps(event.data))


async def test_the_broker_delivers_cloud_events_in_the_amqp_binding(delivered: Delivered) -> None:
    message, event, _ = delivered
    assert (
        event.get_attributes()
        | {
            "specversion": "1.0",
            "id": message.message_id,
            "source": "/accounts",
            "type": "accounts.Deposited",
            "subject": "accounts.account/a",
            "datacontenttype": "application/avro+json",
            "dataschema": f"urn:datapunk:schema:{message.headers['schema']}",
        }
        == event.get_attributes()
    )
    time = event.get_time()
    assert time is not None
    assert time.replace(microsecond=0) == message.timestamp
    assert event.get_data() == {"cents": 5, "balance": 5}


async def test_an_event_is_the_same_from_the_broker_and_over_http(delivered: Delivered) -> None:
    _, from_broker, over_http = delivered
    for name in ("id", "source", "type", "subject", "time", "dataschema"):
        assert from_broker.get_attributes()[name] == over_http.get_attributes()[name], name
    assert over_http.get_data() == from_broker.get_data()
