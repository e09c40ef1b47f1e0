"""What goes back to whoever sent a message: by which way, how addressed, and the outcome of what can't be handled."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from datapunk.broker import direct_replies
from datapunk.broker.channel import Channel, Returned
from datapunk.broker.dead_letter import MAX_MESSAGE, encodable
from datapunk.broker.direct_replies import DirectReplies
from datapunk.broker.properties import Properties
from datapunk.messages.avro_values import uuid_text
from datapunk.messages.codec import AVRO_BINARY, AVRO_JSON
from datapunk.messages.envelope import Envelope
from datapunk.messages.outcome import Outcome, Status


class Replies:
    """Where replies are put, to be sent with the next `flush`.

    Args:
        channel: for those to queues. Without confirms: a full one is its owner's trouble.
        direct: for those to the broker's pseudo-queues, which would put the channel's connection at risk.
    """

    def __init__(self, channel: Channel, direct: DirectReplies) -> None:
        self._channel = channel
        self._direct = direct

    def send(self, to: str, properties: Properties, body: bytes, *, mandatory: bool = False) -> None:
        """Put a reply into the next write.

        Args:
            to: the queue.
            properties: of the reply.
            body: of the reply.
            mandatory: whether it's to be among the `returned` if there's no such queue.
        """
        if to.startswith(direct_replies.PREFIX):
            self._direct.send(to, properties, body)
        else:
            self._channel.publish("", to, properties, body, mandatory)

    def flush(self) -> None:
        """Send them.

        Raises:
            ConnectionLost: if the channel is gone.
        """
        self._channel.flush()

    def returned(self) -> list[Returned]:
        """Those that came back since the last call."""
        returned, self._channel.returned = self._channel.returned, []
        return returned


def failed(code: str, message: str, id: UUID | None = None) -> Outcome:
    """The outcome of what can't be handled.

    Args:
        code: an error code.
        message: for a person; it's cut, and made fit to send: it may quote whatever a stranger wrote.
        id: the command's, if it has one.
    """
    text = encodable(message[:MAX_MESSAGE]).replace("\0", "�")
    return Outcome(status=Status.Failed, code=code, message=text, command_id=id)


def content_type_for(asked: str | None) -> str:
    """A reply is in the encoding of what it answers, and in Avro JSON if that's none of ours."""
    return AVRO_BINARY if asked == AVRO_BINARY else AVRO_JSON


def reply_to(properties: Properties, type: str, fingerprint: str, envelope: Envelope | None = None) -> Properties:
    """The properties of a reply to a message.

    Args:
        properties: of the message.
        type: of the reply.
        fingerprint: of the reply's schema.
        envelope: of the message, if the reply is to say what it follows from, and whose it is.
    """
    headers: dict[str, Any] = {"schema": fingerprint}
    if envelope is not None:
        headers["causation-id"] = uuid_text(envelope.id)
        headers["tenant"] = envelope.tenant
        if envelope.traceparent:
            headers["traceparent"] = envelope.traceparent
    return Properties(
        content_type=content_type_for(properties.content_type),
        headers=headers,
        correlation_id=properties.correlation_id or properties.message_id,
        type=type,
        app_id="datapunk",
    )
