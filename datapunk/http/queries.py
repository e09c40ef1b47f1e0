"""Queries over HTTP: with GET each field is a parameter of the URL, with POST the body is the query.

`?after_position=` makes the answer reflect the caller's own write: it takes the `position` of a command's
outcome. (It isn't called `after`, because queries that page have a field of that name.)
"""

from __future__ import annotations

from typing import Annotated, Any, cast

import msgspec
from fastapi import APIRouter, Request, Response
from fastapi import Query as Parameter
from starlette.datastructures import QueryParams

from datapunk.http.bodies import accepted_type, read_message, sent_on, write_message
from datapunk.http.envelopes import tenant_of
from datapunk.http.facade import Facade, TheFacade
from datapunk.http.problems import Problem
from datapunk.messages.catalogue import Kind, MessageType, similar
from datapunk.messages.message import Query
from datapunk.messages.plain import holds_json

RESERVED = frozenset({"after_position", "timeout", "tenant"})  # parameters that aren't fields
MOST_TIMEOUT_S = 60.0
MOST_POSITION = 2**63 - 1
TEXT_LOGICAL = frozenset({"uuid", "date", "decimal"})

router = APIRouter()

AfterPosition = Annotated[int | None, Parameter(ge=0, le=MOST_POSITION)]
Timeout = Annotated[float | None, Parameter(alias="timeout", gt=0, le=MOST_TIMEOUT_S)]


@router.get("/v1/queries/{type}")
async def ask(
    type: str,
    request: Request,
    facade: TheFacade,
    after_position: AfterPosition = None,
    timeout_s: Timeout = None,
) -> Response:
    """Ask with the parameters of the URL."""
    message_type = facade.catalogue.find(type, Kind.QUERY)
    query = message_type.plain.decode(query_of_parameters(message_type, request.query_params))
    return await _answer(request, facade, query, after_position, timeout_s)


@router.post("/v1/queries/{type}")
async def ask_with_body(
    type: str,
    request: Request,
    facade: TheFacade,
    after_position: AfterPosition = None,
    timeout_s: Timeout = None,
) -> Response:
    """Ask with a body."""
    message_type = facade.catalogue.find(type, Kind.QUERY)
    query = await read_message(request, message_type, facade.registry)
    return await _answer(request, facade, cast(Query, query), after_position, timeout_s)


async def _answer(
    request: Request, facade: Facade, query: Query, after_position: int | None, timeout_s: float | None
) -> Response:
    content_type = accepted_type(request)
    with sent_on():
        answer = await facade.client.ask(
            query,
            tenant=tenant_of(request, facade.settings.default_tenant),
            after_position=after_position,
            correlation_id=request.state.correlation_id,
            timeout_s=timeout_s or facade.settings.query_timeout_s,
        )
    return write_message(answer, facade.catalogue.find(answer.message_type, Kind.ANSWER), content_type, facade.registry)


def query_of_parameters(type: MessageType, parameters: QueryParams) -> bytes:
    """A query in plain JSON from the parameters of a URL.

    Text stays text; numbers and booleans are written as in JSON; an array is a repeated parameter, or JSON;
    maps and records are JSON.

    Raises:
        Problem: 400 `parameter_unknown`.
    """
    fields = {str(field["name"]): field["type"] for field in type.avro["fields"]}
    query: dict[str, msgspec.Raw] = {}
    for name in dict.fromkeys(parameters.keys()):
        if name in RESERVED and name not in fields:
            continue
        if name not in fields:
            near = similar(name, fields)
            hint = f"; did you mean {', '.join(near)}?" if near else ""
            raise Problem(400, "parameter_unknown", f"{type.name} has no field {name[:200]!r}{hint}", similar=near)
        query[name] = msgspec.Raw(_json_of_parameter(fields[name], parameters.getlist(name), type))
    return msgspec.json.encode(query)


def _json_of_parameter(avro: Any, values: list[str], type: MessageType) -> bytes:
    if isinstance(avro, list):
        branches = [branch for branch in cast("list[Any]", avro) if branch != "null"]
        if values == ["null"] and len(branches) < len(cast("list[Any]", avro)) and _is_text(branches[0], type) is False:
            return b"null"
        avro = branches[0]
    schema = _resolved(avro, type)
    if isinstance(schema, dict) and cast("dict[str, Any]", schema).get("type") == "array":
        items = cast("dict[str, Any]", schema)["items"]
        if len(values) == 1 and values[0].lstrip().startswith("["):
            return _json_or_text(values[0])
        return b"[" + b",".join(_json_of_parameter(items, [value], type) for value in values) + b"]"
    return msgspec.json.encode(values[-1]) if _is_text(schema, type) else _json_or_text(values[-1])


def _is_text(avro: Any, type: MessageType) -> bool:
    schema = _resolved(avro, type)
    if not isinstance(schema, dict):
        return schema in ("string", "bytes")
    described = cast("dict[str, Any]", schema)
    if holds_json(described):
        return False
    logical = str(described.get("logicalType", ""))
    if logical in TEXT_LOGICAL or logical.startswith(("time", "local-time")):
        return True
    return described["type"] in ("string", "bytes", "enum", "fixed")


def _resolved(avro: Any, type: MessageType) -> Any:
    return type.names.by_name.get(avro, avro) if isinstance(avro, str) else avro


def _json_or_text(value: str) -> bytes:
    try:
        msgspec.json.decode(value, type=msgspec.Raw)
    except (msgspec.DecodeError, RecursionError):
        return msgspec.json.encode(value)  # its type is refused then, with the field's name
    return value.encode()
