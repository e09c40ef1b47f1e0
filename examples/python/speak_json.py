"""Commands, events and a query in Avro JSON over plain AMQP. See docs/reference/wire.md.

Usage: python speak_json.py AMQP_URL
"""

from __future__ import annotations

import json
import sys
import time
import uuid
import zlib
from typing import Any

import pika

PATIENCE_S = 30  # for a reply or an event
PARTITIONS = 2
READING = {
    "type": "record",
    "name": "Reading",
    "fields": [
        {"name": "station", "type": "string"},
        {"name": "celsius", "type": ["null", "double"]},
        {"name": "at", "type": {"type": "long", "logicalType": "timestamp-millis"}},
    ],
}


class Platform:
    """A connection with a queue for replies and one for events."""

    def __init__(self, url: str) -> None:
        self.connection = pika.BlockingConnection(pika.URLParameters(url))
        self.channel = self.connection.channel()
        self.channel.confirm_delivery()  # from here on a publish returns once the broker has the message safely
        self.replies = self.channel.queue_declare("", exclusive=True).method.queue
        # Of a subscriber that may not miss anything the queue would have a name, be durable, and not be exclusive.
        self.events = self.channel.queue_declare("", exclusive=True).method.queue
        self.channel.queue_bind(self.events, "lake.events", "*.lake.#")

    def send(self, type: str, body: bytes, actor_id: str, id: str | None = None) -> Any:
        """Send a command and wait for its outcome. A retry has the same id and the same body."""
        id = id or str(uuid.uuid4())
        properties = pika.BasicProperties(
            message_id=id,
            type=type,
            content_type="application/avro+json",
            reply_to=self.replies,
            delivery_mode=2,
            timestamp=int(time.time()),
            app_id="speak_json",
            headers={"actor-id": actor_id},
        )
        self.channel.basic_publish("lake.commands", type, body, properties)
        _, outcome = self.reply(id)
        return outcome

    def ask(self, type: str, body: bytes, after_position: int) -> tuple[str, Any]:
        """Ask a query; the answer reflects everything up to a position."""
        id = str(uuid.uuid4())
        properties = pika.BasicProperties(
            message_id=id,
            type=type,
            content_type="application/avro+json",
            reply_to=self.replies,
            headers={"after-position": after_position, "timeout-ms": 5000},
        )
        self.channel.basic_publish("lake.queries", type, body, properties)
        return self.reply(id)

    def reply(self, id: str) -> tuple[str, Any]:
        """The type and body of the reply to a message. A reply to something else came too late, and is dropped."""
        for method, properties, body in self.channel.consume(self.replies, inactivity_timeout=PATIENCE_S):
            if method is None:
                break
            self.channel.basic_ack(method.delivery_tag)
            if properties.correlation_id == id:
                self.channel.cancel()
                return properties.type, json.loads(body)
        raise TimeoutError(f"no reply to {id}")

    def follow(self, until_position: int) -> list[dict[str, Any]]:
        """Events up to a position, in the order they came; one that comes twice has the same id, and counts once."""
        seen: dict[str, dict[str, Any]] = {}
        for method, properties, body in self.channel.consume(self.events, inactivity_timeout=PATIENCE_S):
            if method is None:
                break
            self.channel.basic_ack(method.delivery_tag)
            seen.setdefault(
                properties.message_id,
                {
                    "routing_key": method.routing_key,
                    "type": properties.type,
                    "position": properties.headers["position"],
                    "version": properties.headers["version"],
                    "caused_by": properties.headers["causation-id"],
                    "data": json.loads(body),
                },
            )
            if properties.headers["position"] >= until_position:
                self.channel.cancel()
                return list(seen.values())
        raise TimeoutError(f"no event up to position {until_position}")


def partition_of(station: str) -> int:
    """Where the records of a station go: as lake.AppendRecords says."""
    return zlib.crc32(station.encode()) % PARTITIONS


def show(step: str, what: object) -> None:
    print(json.dumps({"step": step, "result": what}), flush=True)


def main(url: str) -> None:
    platform = Platform(url)
    dataset = f"readings-{uuid.uuid4().hex[:8]}"

    # A union that isn't null is tagged with its branch: {"string": "station"}.
    create = {"name": "Readings", "schema": json.dumps(READING), "key": {"string": "station"}, "partitions": PARTITIONS}
    body, id = json.dumps(create).encode(), str(uuid.uuid4())
    show("created", platform.send("lake.CreateDataset", body, dataset, id))
    show("retried", platform.send("lake.CreateDataset", body, dataset, id))
    show("rejected", platform.send("lake.CreateDataset", body, dataset))
    show("failed", platform.send("lake.CreateDataset", b'{"name": 1}', dataset))

    records = [{"station": "KJFK", "celsius": {"double": 3.9}, "at": 1357034400000}]
    records.append({"station": "KJFK", "celsius": None, "at": 1357038000000})
    append = {"records": json.dumps(records)}
    outcome = platform.send("lake.AppendRecords", json.dumps(append).encode(), f"{dataset}:{partition_of('KJFK')}")
    show("appended", outcome)
    show("events", platform.follow(outcome["position"]))

    find = {"dataset": dataset, "where": [{"field": "celsius", "op": "NOT_NULL", "value": "null"}]}
    show("found", platform.ask("lake.FindRecords", json.dumps(find).encode(), outcome["position"]))
    show("unknown", platform.ask("lake.GetDataset", b'{"dataset": "nowhere"}', 0))
    platform.connection.close()


if __name__ == "__main__":
    main(sys.argv[1])
