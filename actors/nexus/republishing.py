"""What a dead letter is published as, the next time: as it was first, or as it was edited. No I/O."""

from __future__ import annotations

import re
from dataclasses import dataclass
from uuid import UUID

from datapunk.broker.dead_letter import ATTEMPT, DEAD_SUFFIX, ID
from datapunk.broker.properties import PERSISTENT, Properties, decode_properties
from datapunk.errors import InvalidEnvelope, MessageError
from datapunk.incoming import command_digest
from datapunk.messages.compression import decompressed
from datapunk.messages.envelope import read_envelope
from datapunk.settings import Settings
from datapunk.store.originals import Original, Redrive
from datapunk.tasks.redriven import marked
from schemas.nexus.events import DeadLetterEdited

# Headers of the life before: ours, and the broker's.
OF_DEATH = ("dead-", "x-death", "x-first-death-", "x-last-death-", "x-delivery-count", "x-acquired-count")
OF_SHARD = re.compile(r"(?P<module>[^.]+)\.commands\.\d+")
OF_TASKS = re.compile(r"[^.]+\.tasks")


class NotPublishable(Exception):
    """It can't be published as it is; its text says why."""


@dataclass(frozen=True, slots=True)
class Again:
    """A message to be published again.

    Attributes:
        exchange: where.
        routing_key: with which key.
        properties: its own, and which dead letter and attempt it is.
        body: its body.
        redrive: what is remembered of it.
        is_told: whether the inbox will tell what came of it, or who performs it; else it's enough that a queue takes
            it.
    """

    exchange: str
    routing_key: str
    properties: Properties
    body: bytes
    redrive: Redrive
    is_told: bool


def published_again(original: Original, attempt: int, edit: DeadLetterEdited | None, settings: Settings) -> Again:
    """What to publish.

    Args:
        original: the letter as it came.
        attempt: which time, from 1.
        edit: what differs.
        settings: whose messages are whose, and how large they may be.

    Raises:
        NotPublishable: if its properties can't be read, and no edit gives what is missing.
    """
    try:
        was = decode_properties(original.properties)
    except InvalidEnvelope as error:
        if edit is None or not edit.type:
            raise NotPublishable(f"{error}; edit it, and give its type, actor and body") from None
        was = Properties()
    headers = dict(was.headers or {})
    exchange, routing_key = _place(original, was, headers, edit)
    is_query = exchange.endswith(".queries")
    kept = {name: value for name, value in headers.items() if not name.startswith(OF_DEATH)}
    if edit is not None:
        kept.pop("schema", None)  # it's written with the present one
        if edit.actor is not None:
            kept["actor-id"] = edit.actor
    properties = Properties(
        content_type=(edit and edit.content_type) or was.content_type,
        content_encoding=None if edit is not None and edit.body is not None else was.content_encoding,
        headers={**kept, ID: str(original.id), ATTEMPT: attempt},
        delivery_mode=PERSISTENT,
        priority=was.priority,
        correlation_id=was.correlation_id,
        reply_to=was.reply_to if is_query else None,  # who sent a command has been told that it failed
        message_id=was.message_id if edit is None else str(edit.message_id),
        timestamp=was.timestamp,
        type=(edit and edit.type) or was.type,
        app_id=was.app_id,
    )
    body = original.body if edit is None or edit.body is None else edit.body
    is_command = exchange.endswith((".commands", ".shards"))
    task = marked(body, original.id, attempt) if not exchange and OF_TASKS.fullmatch(routing_key) else None
    if is_command:
        redrive = _command(original.id, attempt, properties, body, settings)
    else:
        redrive = Redrive(original.id, attempt, settings.default_tenant, is_settled=task is None)
    return Again(exchange, routing_key, properties, task or body, redrive, is_command or task is not None)


def _place(
    original: Original, was: Properties, headers: dict[str, object], edit: DeadLetterEdited | None
) -> tuple[str, str]:
    exchange, routing_key = headers.get("dead-exchange", ""), headers.get("dead-routing-key", "")
    exchange = exchange if isinstance(exchange, str) else ""
    routing_key = routing_key if isinstance(routing_key, str) else ""
    if not exchange and (shard := OF_SHARD.fullmatch(routing_key)):  # who put it there went round the entrance
        exchange, routing_key = f"{shard['module']}.commands", was.type or ""
    if not exchange and not routing_key:  # nobody knows where it was for
        type = (edit and edit.type) or was.type or ""
        module = type.partition(".")[0] or original.queue.removesuffix(DEAD_SUFFIX)
        exchange, routing_key = f"{module}.commands", type
    if edit is not None and edit.type is not None and exchange.endswith((".commands", ".queries")):
        module = edit.type.partition(".")[0]
        return f"{module}.{exchange.rpartition('.')[2]}", edit.type
    return exchange, routing_key


def _command(id: UUID, attempt: int, properties: Properties, body: bytes, settings: Settings) -> Redrive:
    """By what the inbox will know it again."""
    try:
        envelope = read_envelope(properties, default_tenant=settings.default_tenant)
        body = decompressed(body, properties.content_encoding, settings.max_message_bytes)
    except MessageError:  # it will fail again, and come back
        return Redrive(id, attempt, settings.default_tenant)
    return Redrive(id, attempt, envelope.tenant, envelope.id, command_digest(envelope, body))
