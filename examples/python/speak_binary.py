"""Commands, events and a query in Avro binary over plain AMQP. See docs/reference/wire.md.

Usage: python speak_binary.py AMQP_URL FOLDER_OF_AVSC_FILES…
"""

from __future__ import annotations

import io
import json
import sys
import time
import uuid
from pathlib import Path
from typing import Any

import fastavro
import pika
from fastavro.schema import fingerprint, to_parsing_canonical_form

PATIENCE_S = 30  # for a reply or an event
AVRO = "application/avro"


def load(*folders: Path) -> dict[str, Any]:
    """The schemas in .avsc files, by the name of their message. (GET /v1/schemas has them, too.)"""
    waiting = [json.loads(file.read_text()) for folder in folders for file in sorted(folder.rglob("*.avsc"))]
    named: dict[str, Any] = {}
    found: dict[str, Any] = {}
    while waiting:
        schema = waiting.pop(0)
        try:
            found[f"{schema['namespace']}.{schema['name']}"] = fastavro.parse_schema(schema, named)
        except fastavro.schema.UnknownType:  # one that another file defines: later
            waiting.append(schema)
    return found


class Platform:
    """A connection with a queue for replies."""

    def __init__(self, url: str, schemas: dict[str, Any]) -> None:
        self.schemas = schemas
        self.connection = pika.BlockingConnection(pika.URLParameters(url))
        self.channel = self.connection.channel()
        self.channel.confirm_delivery()
        self.replies = self.channel.queue_declare("", exclusive=True).method.queue

    def speak(self, exchange: str, type: str, message: dict[str, Any], headers: dict[str, Any]) -> tuple[str, Any]:
        """Publish a message and wait for the reply, which comes in the same encoding."""
        schema, body, id = self.schemas[type], io.BytesIO(), str(uuid.uuid4())
        fastavro.schemaless_writer(body, schema, message)
        properties = pika.BasicProperties(
            message_id=id,
            type=type,
            content_type=AVRO,
            reply_to=self.replies,
            delivery_mode=2,
            timestamp=int(time.time()),
            # Which version of the schema this was written with. Without it, the present one is meant.
            headers={"schema": fingerprint(to_parsing_canonical_form(schema), "CRC-64-AVRO"), **headers},
        )
        self.channel.basic_publish(exchange, type, body.getvalue(), properties)
        for method, reply, data in self.channel.consume(self.replies, inactivity_timeout=PATIENCE_S):
            if method is None:
                break
            self.channel.basic_ack(method.delivery_tag)
            if reply.correlation_id == id:
                self.channel.cancel()
                assert reply.content_type == AVRO
                return reply.type, fastavro.schemaless_reader(io.BytesIO(data), self.schemas[reply.type], None)
        raise TimeoutError(f"no reply to {type} {id}")


def show(step: str, what: object) -> None:
    print(json.dumps({"step": step, "result": what}, default=str), flush=True)


def main(url: str, *folders: str) -> None:
    platform = Platform(url, load(*map(Path, folders)))
    dataset = f"readings-{uuid.uuid4().hex[:8]}"
    reading = {"type": "record", "name": "Reading", "fields": [{"name": "celsius", "type": "double"}]}

    create = {"name": "Readings", "schema": json.dumps(reading)}
    show("created", platform.speak("lake.commands", "lake.CreateDataset", create, {"actor-id": dataset}))
    append = {"records": json.dumps([{"celsius": 3.9}])}
    type, outcome = platform.speak("lake.commands", "lake.AppendRecords", append, {"actor-id": f"{dataset}:0"})
    show("appended", (type, outcome))
    headers = {"after-position": outcome["position"]}
    show("found", platform.speak("lake.queries", "lake.GetDataset", {"dataset": dataset}, headers))
    show("unknown", platform.speak("lake.queries", "lake.GetDataset", {"dataset": "nowhere"}, {}))
    platform.connection.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
