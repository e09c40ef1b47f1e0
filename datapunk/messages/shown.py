"""Outcomes and events as people and other programs see them, over HTTP and on the command line."""

from __future__ import annotations

from typing import Any

import msgspec

from datapunk.errors import MessageError
from datapunk.messages.catalogue import Catalogue, Kind
from datapunk.messages.codec import AVRO_BINARY
from datapunk.messages.envelope import schema_uri
from datapunk.messages.outcome import Outcome, Status
from datapunk.messages.registry import Registry
from datapunk.store.events import RecordedEvent
from datapunk.telemetry import logs

log = logs.get_logger(__name__)


def links_of(command_id: object) -> dict[str, str]:
    """Where to go on from a command, over HTTP."""
    return {"outcome": f"/v1/commands/{command_id}"}


def outcome_values(outcome: Outcome) -> dict[str, Any]:
    """An outcome as plain values; only one that isn't accepted has `code`, `message` and `details`."""
    values: dict[str, Any] = {
        "id": None if outcome.command_id is None else str(outcome.command_id),
        "status": outcome.status.value.lower(),
        "actor": outcome.actor,
        "version": outcome.version,
        "position": outcome.position,
        "events": list(outcome.events),
    }
    if outcome.status is not Status.Accepted:
        values |= {"code": outcome.code, "message": outcome.message, "details": dict(outcome.details)}
    return {**values, "links": links_of(outcome.command_id)}


def cloud_event(event: RecordedEvent, registry: Registry, catalogue: Catalogue) -> bytes:
    """An event as CloudEvents 1.0 in JSON, its content as plain JSON; what can't be read goes as base64."""
    fields: dict[str, Any] = {
        "specversion": "1.0",
        "id": str(event.id),
        "source": f"/{event.stream.partition('.')[0]}",
        "subject": event.stream,
        "type": event.type,
        "time": event.at.isoformat(),
        "dataschema": schema_uri(event.schema),
        "position": str(event.position),  # CloudEvents' integers have 32 bits
        "version": event.version,
        "tenant": event.tenant,
        "causationid": str(event.causation),
    }
    for ours, theirs in (("correlation_id", "correlationid"), ("traceparent", "traceparent")):
        if value := event.metadata.get(ours):
            fields[theirs] = value
    try:
        message = registry.decode(event.type, event.data, AVRO_BINARY, event.schema)
        content = catalogue.find(event.type, Kind.EVENT).plain.encode(message)
        fields |= {"datacontenttype": "application/json", "data": msgspec.Raw(content)}
    except MessageError as error:
        log.warning("event can't be read", position=event.position, type=event.type, error=str(error))
        fields |= {"datacontenttype": AVRO_BINARY, "data_base64": event.data}
    return msgspec.json.encode(fields)
