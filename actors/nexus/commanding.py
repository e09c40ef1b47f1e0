"""How Nexus' services send commands to its actors: many at a time, confirmed by the broker."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID, uuid5

from datapunk.broker.channel import Channel
from datapunk.broker.properties import PERSISTENT, Properties
from datapunk.messages.codec import AVRO_JSON
from datapunk.messages.message import Command
from datapunk.messages.registry import Registry


class Commanding:
    """Puts commands into the writes of a channel.

    Args:
        registry: encodes.
        app_id: who sends them.
    """

    def __init__(self, registry: Registry, app_id: str) -> None:
        self._registry = registry
        self._app_id = app_id

    def put(self, channel: Channel, command: Command, actor: UUID, tenant: str, traceparent: str | None = None) -> None:
        """Put a command to a dead letter into the next write of a channel.

        Its id is that of its words: who says the same again, after a crash, says nothing new.

        Args:
            channel: where.
            command: what to do.
            actor: the dead letter.
            tenant: whose it is.
            traceparent: what it follows from.
        """
        body = self._registry.encode(command, AVRO_JSON)
        headers = {"actor-id": str(actor), "tenant": tenant, "schema": self._registry.fingerprint(type(command))}
        if traceparent is not None:
            headers["traceparent"] = traceparent
        channel.publish(
            "nexus.commands",
            command.message_type,
            Properties(
                content_type=AVRO_JSON,
                headers=headers,
                delivery_mode=PERSISTENT,
                message_id=str(uuid5(actor, f"{command.message_type} {body.decode()}")),
                correlation_id=str(actor),
                timestamp=datetime.now(UTC),
                type=command.message_type,
                app_id=self._app_id,
            ),
            body,
        )
