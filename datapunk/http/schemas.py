"""The schemas that are in use, by fingerprint, and what is sent with them over the broker."""

from __future__ import annotations

import re
from typing import Any

import msgspec
from fastapi import APIRouter, Response

from datapunk.http.asyncapi import asyncapi_document
from datapunk.http.bodies import json_response
from datapunk.http.facade import TheFacade
from datapunk.http.problems import Problem
from datapunk.messages.catalogue import MessageType
from datapunk.store.statements import statement

AVSC_CONTENT_TYPE = "application/vnd.apache.avro.schema+json"
FINGERPRINT = re.compile("[0-9a-f]{16}")

router = APIRouter()


@router.get("/v1/schemas")
async def list_schemas(facade: TheFacade) -> Response:
    """All messages of the installed modules, with what identifies their present schemas."""
    return json_response({"schemas": [_entry(each) for _, each in sorted(facade.catalogue.types.items())]})


@router.get("/v1/schemas/{fingerprint}")
async def get_schema(fingerprint: str, facade: TheFacade) -> Response:
    """A schema by its fingerprint, the former ones too; or the present one of a type, by its name."""
    for each in facade.catalogue.types.values():
        if fingerprint in (each.fingerprint, each.name):
            return _response(msgspec.json.encode(each.avro), each.fingerprint)
    row = None
    if FINGERPRINT.fullmatch(fingerprint):
        async with facade.pool.connection() as conn:
            cursor = await conn.execute(statement("query_schema"), {"fingerprint": fingerprint})
            row = await cursor.fetchone()
    if row is None:
        raise Problem(404, "unknown_schema", f"no schema has the fingerprint {fingerprint[:100]!r}")
    return _response(str(row[0]).encode(), fingerprint)


@router.get("/asyncapi.json", include_in_schema=False)
async def get_asyncapi(facade: TheFacade) -> Response:
    """The AsyncAPI document, as `/openapi.json` is the OpenAPI document."""
    return json_response(asyncapi_document(facade.registry, facade.catalogue, facade.settings.broker_url))


def _response(text: bytes, fingerprint: str) -> Response:
    headers = {"Schema": fingerprint, "Cache-Control": "no-cache"}
    return Response(text, media_type=AVSC_CONTENT_TYPE, headers=headers)


def _entry(type: MessageType) -> dict[str, Any]:
    return {
        "name": type.name,
        "kind": type.kind.value,
        "module": type.module,
        "fingerprint": type.fingerprint,
        "doc": type.doc,
        "links": {"schema": f"/v1/schemas/{type.fingerprint}"},
    }
