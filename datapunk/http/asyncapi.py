"""The AsyncAPI 3 document: what modules take and send over the broker, as docs/reference/wire.md has it in words.

Payloads are described as Avro JSON, which is the default on the wire; each message names the fingerprint of the Avro
schema behind it. Bindings follow https://github.com/asyncapi/bindings/tree/master/amqp (version 0.3.0).
"""

from __future__ import annotations

from collections.abc import Iterable
from importlib.metadata import version
from typing import Any
from urllib.parse import unquote, urlsplit

from datapunk.messages.catalogue import Catalogue, Kind, MessageType
from datapunk.messages.codec import AVRO_JSON
from datapunk.messages.json_schema import Form, Names, SchemaWriter
from datapunk.messages.outcome import Outcome
from datapunk.messages.registry import Registry
from datapunk.module import Module

Json = dict[str, Any]

BINDING_VERSION = "0.3.0"
REPLIES = "replies"  # the channel of whatever queues senders name in `reply_to`
REPLY_TO = "$message.header#/reply_to"
DESCRIPTION = """Commands in, events out, queries answered, over AMQP 0-9-1.

Operations are Datapunk's: a client sends what Datapunk receives. `message_id`, `type`, `content_type`,
`correlation_id`, `reply_to`, `timestamp` and `app_id` are properties of AMQP's, the rest of `headers` are in its table
of headers. The reference "The wire" says what each means, and what holds.
"""

TEXT: Json = {"type": "string"}
UUID: Json = {"type": "string", "format": "uuid"}
WHOLE: Json = {"type": "integer", "format": "int64", "minimum": 0}
SENT: Json = {
    "message_id": {**UUID, "description": "Of the sender's making; a retry has the same one."},
    "reply_to": {**TEXT, "description": "The queue for the reply."},
    "correlation_id": {**TEXT, "description": "What the reply carries; by default the `message_id`."},
    "tenant": {**TEXT, "pattern": "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$", "description": "Whose data."},
    "schema": {**TEXT, "pattern": "^[0-9a-f]{16}$", "description": "Fingerprint of the schema of the body."},
    "traceparent": {**TEXT, "description": "W3C Trace Context."},
    "tracestate": {**TEXT, "description": "W3C Trace Context."},
    "authorization": {**TEXT, "description": "A JWT of the person behind it."},
}
HEADERS: dict[str, Json] = {
    "command": {
        "type": "object",
        "properties": {
            **SENT,
            "actor-id": {**TEXT, "minLength": 1, "maxLength": 200, "description": "Whom it's for."},
            "correlation-id": {**TEXT, "description": "What its events carry as `correlation_id`."},
            "causation-id": {**TEXT, "description": "The message that it follows from."},
        },
        "required": ["message_id", "actor-id"],
    },
    "query": {
        "type": "object",
        "properties": {
            **SENT,
            "after-position": {**WHOLE, "description": "The answer reflects everything up to it."},
            "timeout-ms": {**WHOLE, "minimum": 1, "description": "How long the sender waits."},
        },
        "required": ["message_id", "reply_to"],
    },
    "event": {
        "type": "object",
        "properties": {
            "message_id": {**UUID, "description": "The same whenever it's delivered again."},
            "correlation_id": TEXT,
            "actor-id": {**TEXT, "description": "Whose event."},
            "tenant": {**TEXT, "description": "Whose data."},
            "version": {**WHOLE, "minimum": 1, "description": "Its number in the actor's stream."},
            "position": {**WHOLE, "minimum": 1, "description": "Its place in the order of all events."},
            "causation-id": {**TEXT, "description": "The command that it follows from."},
            "schema": SENT["schema"],
            "traceparent": SENT["traceparent"],
            "tracestate": SENT["tracestate"],
            "cloudEvents:specversion": {"const": "1.0"},
            "cloudEvents:id": UUID,
            "cloudEvents:source": {**TEXT, "format": "uri-reference"},
            "cloudEvents:type": TEXT,
            "cloudEvents:time": {**TEXT, "format": "date-time"},
            "cloudEvents:subject": {**TEXT, "description": "The actor's stream."},
            "cloudEvents:dataschema": {**TEXT, "format": "uri"},
        },
        "required": [
            *("message_id", "actor-id", "tenant", "version", "position", "causation-id", "schema"),
            *(f"cloudEvents:{name}" for name in ("specversion", "id", "source", "type")),
        ],
    },
    "reply": {
        "type": "object",
        "properties": {
            "correlation_id": {**TEXT, "description": "Of the message that it replies to."},
            "schema": SENT["schema"],
        },
        "required": ["correlation_id"],
    },
}
ROLES = {Kind.COMMAND: "command", Kind.QUERY: "query", Kind.EVENT: "event", Kind.ANSWER: "reply"}


def asyncapi_document(registry: Registry, catalogue: Catalogue, broker_url: str) -> Json:
    """The document of some modules.

    Args:
        registry: knows the schemas.
        catalogue: the modules' messages.
        broker_url: where the broker is; user and password stay out of it.
    """
    outcome = registry.codec(Outcome).schema
    names = Names([*(each.avro for each in catalogue.types.values()), outcome.definition])
    writer = SchemaWriter(names, Form.AVRO)
    messages = {
        each.name: _message(each.name, ROLES[each.kind], each.avro, each.fingerprint, writer)
        for _, each in sorted(catalogue.types.items())
    }
    messages[outcome.name] = _message(outcome.name, "reply", outcome.definition, outcome.fingerprint, writer)
    answers = [each.name for each in catalogue.of_kind(Kind.ANSWER)]
    document = _Document(catalogue.modules, urlsplit(broker_url).path)
    document.channels[REPLIES] = {
        "address": None,
        "title": "Replies",
        "description": "The queue that a sender names in `reply_to`, by the default exchange.",
        "messages": {name: _to("components", "messages", name) for name in [outcome.name, *answers]},
    }
    for command in catalogue.of_kind(Kind.COMMAND):
        document.take(command, "commands", [outcome.name])
    for query in catalogue.of_kind(Kind.QUERY):
        answer = query.avro.get("answer")
        document.take(query, "queries", [outcome.name, *([str(answer)] if answer in answers else [])])
    for event in catalogue.of_kind(Kind.EVENT):
        document.send(event)
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Datapunk",
            "version": version("datapunk"),
            "description": DESCRIPTION,
            "tags": [{"name": module.name, "description": module.description} for module in catalogue.modules],
        },
        "defaultContentType": AVRO_JSON,
        "servers": {"broker": _server(broker_url)},
        "channels": document.channels,
        "operations": document.operations,
        "components": {
            "messages": messages,
            "messageTraits": {
                role: {
                    "headers": headers,
                    "correlationId": {"location": "$message.header#/correlation_id"},
                }
                for role, headers in HEADERS.items()
            },
            "schemas": dict(sorted(writer.components.items())),
        },
    }


class _Document:
    """Channels and operations as they are added."""

    def __init__(self, modules: Iterable[Module], path: str) -> None:
        self.channels: dict[str, Json] = {}
        self.operations: dict[str, Json] = {}
        self._modules = {module.name: module for module in modules}
        self._vhost = unquote(path.removeprefix("/")) or "/"

    def take(self, type: MessageType, of: str, replies: list[str]) -> None:
        """A command or a query, and what answers it."""
        self.channels[type.name] = self._channel(type, type.name, f"{type.module}.{of}", "direct")
        self.operations[type.name] = {
            **_operation("receive", type),
            "reply": {
                "address": {"location": REPLY_TO, "description": "The property `reply_to`."},
                "channel": _to("channels", REPLIES),
                "messages": [_to("channels", REPLIES, "messages", name) for name in replies],
            },
        }

    def send(self, type: MessageType) -> None:
        """An event."""
        kinds = [
            actor.kind
            for actor in self._modules[type.module].actors
            if any(event.message_type == type.name for event in actor.appliers)
        ]
        kind = kinds[0] if len(kinds) == 1 else "{actor}"
        short = type.name.rpartition(".")[2]
        address = f"{{tenant}}.{type.module}.{kind}.{short}"
        parameters: Json = {"tenant": {"description": "Whose data."}}
        if kind == "{actor}":
            parameters["actor"] = {"description": "The kind of actor.", **({"enum": kinds} if kinds else {})}
        channel = self._channel(type, address, f"{type.module}.events", "topic")
        self.channels[type.name] = {**channel, "parameters": parameters}
        self.operations[type.name] = _operation("send", type)

    def _channel(self, type: MessageType, address: str, exchange: str, exchange_type: str) -> Json:
        return {
            "address": address,
            "title": type.name,
            "messages": {type.name: _to("components", "messages", type.name)},
            "bindings": {
                "amqp": {
                    "is": "routingKey",
                    "exchange": {
                        "name": exchange,
                        "type": exchange_type,
                        "durable": True,
                        "autoDelete": False,
                        "vhost": self._vhost,
                    },
                    "bindingVersion": BINDING_VERSION,
                }
            },
        }


def _operation(action: str, type: MessageType) -> Json:
    return {
        "action": action,
        "title": type.name,
        "summary": type.doc.partition(". ")[0],
        "tags": [{"name": type.module}],
        "channel": _to("channels", type.name),
        "messages": [_to("channels", type.name, "messages", type.name)],
        "bindings": {"amqp": {"deliveryMode": 1 if type.kind is Kind.QUERY else 2, "bindingVersion": BINDING_VERSION}},
    }


def _message(name: str, role: str, avro: Json, fingerprint: str, writer: SchemaWriter) -> Json:
    return {
        "name": name,
        "title": name,
        "description": avro.get("doc", ""),
        "contentType": AVRO_JSON,
        "traits": [_to("components", "messageTraits", role)],
        "payload": writer.of(avro),
        "bindings": {"amqp": {"messageType": name, "bindingVersion": BINDING_VERSION}},
        "x-schema-fingerprint": fingerprint,
    }


def _server(broker_url: str) -> Json:
    parts = urlsplit(broker_url)
    host = parts.hostname or "localhost"
    server: Json = {
        "host": f"{host}:{parts.port}" if parts.port else host,
        "protocol": parts.scheme,
        "protocolVersion": "0.9.1",
        "description": "RabbitMQ.",
    }
    return server if parts.path in ("", "/") else {**server, "pathname": parts.path}


def _to(*path: str) -> Json:
    return {"$ref": "#/" + "/".join(path)}
