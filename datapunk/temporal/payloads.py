"""How messages look inside Temporal: Avro JSON, so that its web UI shows them and an upcaster can still read them.

A message on its own is a payload of Avro JSON, with its type and schema in the metadata; one inside something
else, as in `Recorded`, is an object of three: `{"type": …, "schema": …, "message": …}`. Either way the writer's
schema is known, and a workflow that began under an older release reads what it began with.
"""

from __future__ import annotations

import json
import typing
from dataclasses import fields, is_dataclass
from typing import Any, cast

from temporalio.api.common.v1 import Payload
from temporalio.converter import (
    AdvancedJSONEncoder,
    CompositePayloadConverter,
    DataConverter,
    DefaultPayloadConverter,
    JSONPlainPayloadConverter,
    JSONTypeConverter,
    value_to_type,
)

from datapunk.messages.codec import AVRO_JSON
from datapunk.messages.message import Message
from datapunk.messages.registry import Registry

TYPE, SCHEMA = "datapunk-type", "datapunk-schema"  # keys of a payload's metadata


def data_converter(registry: Registry) -> DataConverter:
    """The converter of clients and workers that speak of these messages."""

    class Converter(CompositePayloadConverter):
        def __init__(self) -> None:
            ours = MessagePayloads(registry)
            theirs = DefaultPayloadConverter.default_encoding_payload_converters
            super().__init__(*(ours if type(each) is JSONPlainPayloadConverter else each for each in theirs))

    return DataConverter(payload_converter_class=Converter)


class MessagePayloads(JSONPlainPayloadConverter):
    """JSON, as Temporal has it, that knows messages."""

    def __init__(self, registry: Registry) -> None:
        class Encoder(AdvancedJSONEncoder):
            def default(self, o: Any) -> Any:
                if isinstance(o, Message):
                    return {
                        "type": o.message_type,
                        "schema": registry.fingerprint(type(o)),
                        "message": json.loads(registry.encode(o, AVRO_JSON)),
                    }
                if is_dataclass(o) and not isinstance(o, type):  # asdict(), which theirs calls, would copy messages
                    return {field.name: getattr(o, field.name) for field in fields(o)}
                return super().default(o)

        super().__init__(encoder=Encoder, custom_type_converters=[_Nested(registry)])
        self._registry = registry

    def to_payload(self, value: Any) -> Payload | None:
        """See `EncodingPayloadConverter`."""
        if not isinstance(value, Message):
            return super().to_payload(value)
        metadata = {
            "encoding": self.encoding.encode(),
            TYPE: value.message_type.encode(),
            SCHEMA: self._registry.fingerprint(type(value)).encode(),
        }
        return Payload(metadata=metadata, data=self._registry.encode(value, AVRO_JSON))

    def from_payload(self, payload: Payload, type_hint: type | None = None) -> Any:
        """See `EncodingPayloadConverter`. Without its metadata a message is read by the class that is asked for."""
        type, schema = payload.metadata.get(TYPE), payload.metadata.get(SCHEMA)
        if type is None and isinstance(type_hint, _MESSAGE_CLASS) and issubclass(type_hint, Message):
            type = type_hint.message_type.encode()
        if type is None:
            return super().from_payload(payload, type_hint)
        return self._registry.decode(type.decode(), payload.data, AVRO_JSON, schema.decode() if schema else None)


_MESSAGE_CLASS = type  # `type` is a name of a message's here


class _Nested(JSONTypeConverter):
    """Messages, and generic dataclasses around them, inside of other JSON."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def to_typed_value(self, hint: Any, value: Any) -> Any:
        """See `JSONTypeConverter`."""
        if isinstance(hint, type) and issubclass(hint, Message) and isinstance(value, dict):
            tagged = cast("dict[str, Any]", value)
            body = json.dumps(tagged["message"]).encode()
            return self._registry.decode(tagged["type"], body, AVRO_JSON, tagged["schema"])
        origin = typing.get_origin(hint)
        if is_dataclass(origin) and isinstance(origin, type) and isinstance(value, dict):
            return self._of_generic(origin, typing.get_args(hint), cast("dict[str, Any]", value))
        return JSONTypeConverter.Unhandled

    def _of_generic(self, origin: type, arguments: tuple[Any, ...], value: dict[str, Any]) -> Any:
        """A dataclass with type parameters, such as `Recorded[OrderCreated]`, which Temporal's own leaves alone."""
        given = dict(zip(getattr(origin, "__parameters__", ()), arguments, strict=True))
        hints = typing.get_type_hints(origin)
        known = {field.name for field in fields(cast(Any, origin))}
        return origin(
            **{
                name: value_to_type(given.get(hints[name], hints[name]), each, [self])
                for name, each in value.items()
                if name in known
            }
        )
