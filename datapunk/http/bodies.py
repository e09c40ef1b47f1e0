"""Message bodies over HTTP, by content type: plain JSON (the default), Avro JSON, Avro binary."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import msgspec
from fastapi import Request, Response

from datapunk.errors import UndecodableMessage, UnencodableMessage, UnsupportedContentType
from datapunk.http.problems import Problem
from datapunk.messages import plain
from datapunk.messages.catalogue import MessageType
from datapunk.messages.codec import AVRO_BINARY, AVRO_JSON
from datapunk.messages.message import Message
from datapunk.messages.registry import Registry

CONTENT_TYPES = (plain.CONTENT_TYPE, AVRO_JSON, AVRO_BINARY)


async def read_message(request: Request, type: MessageType, registry: Registry) -> Message:
    """The message in a request's body; no body counts as `{}`.

    Raises:
        UndecodableMessage: if it isn't what its content type and schema say.
        UnsupportedContentType: if the content type is none of ours.
    """
    content_type = request.headers.get("content-type", plain.CONTENT_TYPE).partition(";")[0].strip().lower()
    body = await request.body()
    if content_type == plain.CONTENT_TYPE:
        return type.plain.decode(body or b"{}")
    if content_type in (AVRO_JSON, AVRO_BINARY):
        return registry.decode(type.name, body, content_type, request.headers.get("Schema"))
    raise UnsupportedContentType(f"{content_type!r} is not accepted; send one of {', '.join(CONTENT_TYPES)}")


@contextmanager
def sent_on() -> Generator[None]:
    """Around what sends a message on: plain JSON may say more than Avro can (a number of 65 bits), which shows here.

    Raises:
        UndecodableMessage: if it does.
    """
    try:
        yield
    except UnencodableMessage as error:
        raise UndecodableMessage(str(error)) from None


def write_message(message: Message, type: MessageType, content_type: str, registry: Registry) -> Response:
    """A response with a message, in one of our content types."""
    is_plain = content_type == plain.CONTENT_TYPE
    body = type.plain.encode(message) if is_plain else registry.encode(message, content_type)
    return Response(body, media_type=content_type, headers={"Schema": type.fingerprint, "Vary": "Accept"})


def json_response(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """A response with plain values."""
    return Response(msgspec.json.encode(value), status, headers, plain.CONTENT_TYPE)


def accepted_type(request: Request) -> str:
    """The one of our content types that the caller likes best.

    Raises:
        Problem: 406 if the caller accepts none of ours.
    """
    header = request.headers.get("accept", "*/*")
    ranges: list[tuple[float, str]] = []
    for part in header.split(","):
        media_type, *parameters = (piece.strip().lower() for piece in part.split(";"))
        quality = 1.0
        for parameter in parameters:
            name, _, value = parameter.partition("=")
            if name.strip() == "q":
                try:
                    quality = float(value)
                except ValueError:
                    quality = 0.0
        if quality > 0:
            ranges.append((-quality, media_type))
    for _, media_type in sorted(ranges, key=lambda each: each[0]):
        if media_type in ("*/*", "application/*", ""):
            return plain.CONTENT_TYPE
        if media_type in CONTENT_TYPES:
            return media_type
    raise Problem(406, "not_acceptable", f"answers come as one of {', '.join(CONTENT_TYPES)}")
