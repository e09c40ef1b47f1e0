"""The OpenAPI 3.1 document: every message of every installed module, from its Avro schema.

The routes take any message type; the document has a path for each, so that a reader sees what there is.
"""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from datapunk.http.problems import CONTENT_TYPE as PROBLEM
from datapunk.http.queries import RESERVED
from datapunk.messages.catalogue import Catalogue, Kind, MessageType
from datapunk.messages.codec import AVRO_BINARY, AVRO_JSON
from datapunk.messages.json_schema import Form, Names, SchemaWriter, full_name
from datapunk.messages.plain import CONTENT_TYPE as PLAIN

Json = dict[str, Any]

GENERIC_PATHS = ("/v1/commands/{type}", "/v1/queries/{type}")
POSITION: Json = {"type": "integer", "format": "int64", "minimum": 0}

PROBLEM_SCHEMA: Json = {
    "title": "Problem",
    "description": "Problem details (RFC 9457).",
    "type": "object",
    "properties": {
        "type": {"type": "string", "format": "uri-reference"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "What happened, for a person."},
        "code": {"type": "string", "description": "What happened, for a program; it doesn't change."},
    },
    "required": ["type", "title", "status", "detail", "code"],
}
OUTCOME_SCHEMA: Json = {
    "title": "Outcome",
    "description": "What became of a command.",
    "type": "object",
    "properties": {
        "id": {"type": "string", "format": "uuid", "description": "The command's id."},
        "status": {"type": "string", "enum": ["accepted", "rejected", "failed"]},
        "actor": {"type": "string", "description": "The actor's address, as in `lake.dataset/weather`."},
        "version": {"type": "integer", "description": "The actor's version after it."},
        "position": {**POSITION, "description": "Of its last event; pass it to queries as `after_position`."},
        "events": {"type": "array", "items": {"type": "string", "format": "uuid"}},
        "links": {"type": "object", "additionalProperties": {"type": "string"}},
    },
    "required": ["id", "status", "actor", "version", "position", "events"],
}
SENT_SCHEMA: Json = {
    "title": "Sent",
    "description": "The broker has the command safely; what becomes of it is not known yet.",
    "type": "object",
    "properties": {
        "id": {"type": "string", "format": "uuid"},
        "type": {"type": "string"},
        "actor_id": {"type": "string"},
        "status": {"const": "sent"},
        "links": {"type": "object", "additionalProperties": {"type": "string"}},
    },
    "required": ["id", "type", "actor_id", "status", "links"],
}


def openapi_document(app: FastAPI, catalogue: Catalogue) -> Json:
    """The document of an app.

    Args:
        app: for its title, and for the routes that aren't about one type of message.
        catalogue: the messages.
    """
    document = get_openapi(title=app.title, version=app.version, description=app.description, routes=list(app.routes))
    names = Names([each.avro for each in catalogue.types.values()])
    writers = {form: SchemaWriter(names, form) for form in Form}
    paths: Json = {}
    for command in catalogue.of_kind(Kind.COMMAND):
        paths[f"/v1/commands/{command.name}"] = {"post": _command(command, writers)}
    for query in catalogue.of_kind(Kind.QUERY):
        paths[f"/v1/queries/{query.name}"] = {
            "get": _query(query, catalogue, writers, with_body=False),
            "post": _query(query, catalogue, writers, with_body=True),
        }
    for path, operations in document.get("paths", {}).items():
        if path not in GENERIC_PATHS:
            paths[path] = {method: _with_our_problems(operation) for method, operation in operations.items()}
    _describe_events(paths, catalogue, writers)
    components: Json = {"Problem": PROBLEM_SCHEMA, "Outcome": OUTCOME_SCHEMA, "Sent": SENT_SCHEMA}
    for writer in writers.values():
        components |= writer.components
    document["paths"] = paths
    document["components"] = {"schemas": dict(sorted(components.items()))}
    document["tags"] = [{"name": module.name, "description": module.description} for module in catalogue.modules]
    return document


def _command(type: MessageType, writers: dict[Form, SchemaWriter]) -> Json:
    return {
        "operationId": type.name,
        "tags": [type.module],
        "summary": type.name,
        "description": type.doc,
        "parameters": [
            _header("Actor-Id", "Which actor it's for; `?actor_id=` does the same.", required=False),
            _parameter("actor_id", "query", {"type": "string"}, "Which actor it's for."),
            _parameter(
                "wait",
                "query",
                {"type": "number", "exclusiveMinimum": 0, "maximum": 60},
                "Seconds to wait for the outcome; without it, 202 as soon as the broker has the command.",
            ),
            _header(
                "Idempotency-Key",
                "The command's id (a UUID, or any text); a retry with it has no 2nd effect.",
            ),
            _header("Tenant", "Whose actor it is."),
        ],
        "requestBody": {"required": True, "content": _contents(type, writers)},
        "responses": {
            "200": _described("It was accepted (with `?wait=`).", {PLAIN: _component("Outcome")}),
            "202": _described("It was sent.", {PLAIN: _component("Sent")}),
            "409": _problem("The actor rejected it; `code` and `details` tell why."),
            "422": _problem("It could not be handled."),
            "504": _problem("No outcome came in time. It may still take effect: repeat it with the same key."),
            **_common_problems(),
        },
    }


def _query(type: MessageType, catalogue: Catalogue, writers: dict[Form, SchemaWriter], *, with_body: bool) -> Json:
    answer = catalogue.types.get(str(type.avro.get("answer", "")))
    content: Json = {} if answer is None else _contents(answer, writers)
    operation: Json = {
        "operationId": f"{type.name}.{'post' if with_body else 'get'}",
        "tags": [type.module],
        "summary": type.name,
        "description": type.doc,
        "parameters": [
            _parameter(
                "after_position",
                "query",
                POSITION,
                "Answer as of this position or later: read your own write.",
            ),
            _parameter("timeout", "query", {"type": "number", "exclusiveMinimum": 0, "maximum": 60}, "Seconds."),
            _header("Tenant", "Who asks."),
        ],
        "responses": {
            "200": _described("The answer.", content),
            "422": _problem("The query can't be answered; `code` tells why."),
            "504": _problem("No answer came in time."),
            **_common_problems(),
        },
    }
    if with_body:
        operation["requestBody"] = {"required": False, "content": _contents(type, writers)}
    else:
        operation["parameters"] = [*_field_parameters(type, writers[Form.PLAIN]), *operation["parameters"]]
    return operation


def _field_parameters(type: MessageType, writer: SchemaWriter) -> list[Json]:
    parameters: list[Json] = []
    space = full_name(type.avro).rpartition(".")[0]
    for field in type.avro["fields"]:
        schema = writer.of(field["type"], space)
        is_structured = "$ref" in schema or schema.get("type") in ("object", "array")
        parameter = _parameter(field["name"], "query", schema, field.get("doc", ""), required="default" not in field)
        if is_structured:  # an object inside a URL is JSON
            parameter["content"] = {PLAIN: {"schema": parameter.pop("schema")}}
        if field["name"] not in RESERVED:
            parameters.append(parameter)
    return parameters


def _describe_events(paths: Json, catalogue: Catalogue, writers: dict[Form, SchemaWriter]) -> None:
    operation = paths.get("/v1/events", {}).get("get")
    if operation is None:
        return
    events = [_reference(each, writers[Form.PLAIN]) for each in catalogue.of_kind(Kind.EVENT)]
    operation["parameters"].append(_header("Last-Event-ID", "The position after which to go on."))
    operation["responses"] = {
        "200": _described(
            "Server-sent events: `id` is the position, `event` the type, `data` a CloudEvent in JSON, "
            "whose `data` is one of these.",
            {"text/event-stream": {"schema": {"anyOf": events} if events else {}}},
        ),
        **_common_problems(),
    }


def _contents(type: MessageType, writers: dict[Form, SchemaWriter]) -> Json:
    avro_json = _reference(type, writers[Form.AVRO])
    contents: Json = {
        PLAIN: {"schema": _reference(type, writers[Form.PLAIN]), "example": type.example},
        AVRO_JSON: {"schema": avro_json},
        AVRO_BINARY: {"schema": {"type": "string", "format": "binary", "description": f"Schema {type.fingerprint}."}},
    }
    return contents


def _reference(type: MessageType, writer: SchemaWriter) -> Json:
    return writer.of(type.avro)


def _component(name: str) -> Json:
    return {"schema": {"$ref": f"#/components/schemas/{name}"}}


def _described(description: str, content: Json) -> Json:
    return {"description": description, "content": content}


def _problem(description: str) -> Json:
    return _described(description, {PROBLEM: _component("Problem")})


def _with_our_problems(operation: Json) -> Json:
    """What the framework says of invalid requests is another thing than what we answer: a problem, with 400."""
    responses = {status: each for status, each in operation["responses"].items() if status != "422"}
    return {**operation, "responses": {**responses, **_common_problems()}}


def _common_problems() -> Json:
    return {
        "400": _problem("The request is not well-formed."),
        "413": _problem("The body is too large."),
        "415": _problem("The content type is not accepted."),
        "503": _problem("The broker or the database is away; `Retry-After` tells when to try again."),
    }


def _parameter(name: str, place: str, schema: Json, description: str, *, required: bool = False) -> Json:
    return {"name": name, "in": place, "required": required, "schema": schema, "description": description}


def _header(name: str, description: str, *, required: bool = False) -> Json:
    return _parameter(name, "header", {"type": "string"}, description, required=required)
