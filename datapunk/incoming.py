"""From a delivery to a command that an actor can decide on, or to the reason why it can't be one."""

from __future__ import annotations

import traceback
from datetime import UTC, datetime
from hashlib import blake2b
from uuid import UUID

import msgspec

from datapunk.actor import Actor
from datapunk.broker.deliveries import Delivery
from datapunk.errors import InvalidEnvelope, MessageError, OversizedMessage, UnknownMessageType
from datapunk.messages.compression import decompressed
from datapunk.messages.envelope import Envelope, read_envelope
from datapunk.messages.message import Command
from datapunk.messages.registry import Registry
from datapunk.module import Module
from datapunk.settings import Settings
from datapunk.store.events import CommandKey
from datapunk.telemetry import traces

Address = tuple[str, str]  # tenant, stream


class Incoming(msgspec.Struct):
    """A command as it came, decoded and addressed.

    Attributes:
        address: whose stream it's for.
        digest: tells a retry of the same command from another one under its id.
        traceparent: of the span in which it was decided; until then its sender's.
    """

    delivery: Delivery
    envelope: Envelope
    command: Command
    actor: type[Actor]
    address: Address
    id: UUID
    digest: bytes
    received_at: datetime
    traceparent: str | None = None

    @property
    def key(self) -> CommandKey:
        """By which a retry is found."""
        return self.address[0], self.id


class Refused(msgspec.Struct):
    """A delivery that can't be handled, however often it's tried; it goes to the dead letters as it is."""

    delivery: Delivery
    envelope: Envelope | None
    code: str
    message: str
    trace: str = ""
    at: datetime = msgspec.field(default_factory=lambda: datetime.now(UTC))


class Intake:
    """Reads the deliveries of one module."""

    def __init__(self, module: Module, registry: Registry, settings: Settings) -> None:
        self._module = module
        self._registry = registry
        # What an exchange hands on to another keeps the name of that to which it was published.
        self._entrances = (f"{module.name}.commands", f"{module.name}.shards")
        self._max_bytes = settings.max_message_bytes
        self._default_tenant = settings.default_tenant
        self._actors = {command.message_type: (command, actor) for command, actor in module.handled_by.items()}

    def read(self, delivery: Delivery, received_at: datetime) -> Incoming | Refused:
        """Decode one delivery; whatever is wrong with it ends up in a `Refused`, never in an exception."""
        envelope = None
        try:
            envelope = read_envelope(delivery.properties, default_tenant=self._default_tenant)
            if delivery.exchange not in self._entrances:  # its actor may be another shard's to decide on
                raise InvalidEnvelope(
                    f"it was put straight into a shard's queue, by the exchange {delivery.exchange!r}; publish it to "
                    f"{self._entrances[0]}, which finds the shard of its actor"
                )
            if len(delivery.body) > self._max_bytes:
                raise OversizedMessage(
                    f"the body has {len(delivery.body):,} bytes, and {self._max_bytes:,} are the limit; "
                    "split it into several commands"
                )
            found = self._actors.get(envelope.type)
            if found is None:
                raise UnknownMessageType(
                    f"{self._module.name} handles no command {envelope.type!r}; it handles "
                    + ", ".join(self._module.command_types)
                )
            body = decompressed(delivery.body, delivery.properties.content_encoding, self._max_bytes)
            command = self._registry.decode(envelope.type, body, envelope.content_type, envelope.schema)
        except MessageError as error:
            return Refused(delivery, envelope, error.code, str(error))
        except Exception as error:  # a defect of ours must not stop the messages behind this one
            return Refused(delivery, envelope, "poison", repr(error), traceback.format_exc())
        assert isinstance(command, Command)  # the type was found among commands
        actor = found[1]
        stream = self._module.stream_of(actor, envelope.actor_id)
        return Incoming(
            delivery,
            envelope,
            command,
            actor,
            (envelope.tenant, stream),
            envelope.id,
            command_digest(envelope, body),
            received_at,
            traces.traceparent_of({"traceparent": envelope.traceparent}),
        )


def command_digest(envelope: Envelope, body: bytes) -> bytes:
    """By which the inbox tells a retry of a command from another one under its id, however it's compressed."""
    digest = blake2b(body, digest_size=16)
    digest.update(f"{envelope.tenant}\0{envelope.type}\0{envelope.actor_id}\0{envelope.content_type}".encode())
    return digest.digest()
