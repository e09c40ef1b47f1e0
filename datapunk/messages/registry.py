"""The registry: every message class, its codec, and every schema that messages were ever written with.

What is current comes from the modules' .avsc files; older versions from their released history, and from the
Postgres table `schemas`, which all processes of a deployment fill and read.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar, cast

import msgspec
from psycopg import AsyncConnection

from datapunk.errors import (
    SchemaError,
    UndecodableMessage,
    UnknownMessageType,
    UnknownSchema,
    UnsupportedContentType,
)
from datapunk.messages import outcome
from datapunk.messages.codec import AVRO_BINARY, AVRO_JSON, UNFIT, Codec
from datapunk.messages.generate import FOLDERS
from datapunk.messages.message import Message
from datapunk.messages.plain_values import read_plain, write_plain
from datapunk.messages.released import released_versions
from datapunk.messages.resolution import resolve as resolve_value
from datapunk.messages.schema import AvroSchema, load_folder, parse_text, read_definitions, resolve
from datapunk.messages.upcasters import upcaster_of
from datapunk.module import Module
from datapunk.store.events import EventData, PastEvent
from datapunk.store.statements import statement

M = TypeVar("M", bound=Message)


@dataclass(slots=True)
class Writer:
    """A schema that messages were written with, other than the current one."""

    version: int
    codec: Codec[Any]


@dataclass
class Registry:
    """Message classes and schemas. Make one with `Registry.of`.

    Attributes:
        current: the present schema of each message type.
        versions: the version of each present schema: one more than its released history has, unless it's its last.
        homes: the import names of the Python modules that hold the modules' classes.
    """

    current: dict[str, AvroSchema] = field(default_factory=dict[str, AvroSchema])
    versions: dict[str, int] = field(default_factory=dict[str, int])
    homes: set[str] = field(default_factory=set[str])
    _classes: dict[str, type[Message]] = field(default_factory=dict[str, type[Message]])
    _codecs: dict[type[Message], Codec[Any]] = field(default_factory=dict[type[Message], Codec[Any]])
    _by_name: dict[str, tuple[str, Codec[Any]]] = field(default_factory=dict[str, tuple[str, Codec[Any]]])
    _writers: dict[tuple[str, str], Writer] = field(default_factory=dict[tuple[str, str], Writer])

    @classmethod
    def of(cls, modules: Iterable[Module]) -> Registry:
        """The registry of some modules and of Datapunk itself.

        Raises:
            SchemaError: if an .avsc file is wrong, or a class isn't generated.
        """
        registry = cls()
        own = read_definitions(sorted((Path(__file__).parent / "schemas").glob("*.avsc")))
        for name, definition in own.items():
            registry._add(resolve(definition, own), outcome.AVRO_TYPES, [])
            assert name in registry.current  # it's named after its definition
        for module in modules:
            registry._add_module(module)
        return registry

    def _add_module(self, module: Module) -> None:
        package = importlib.import_module(module.schemas)
        root = Path(cast(str, package.__file__)).parent
        classes: dict[str, type[Any]] = {}
        shared = read_definitions(sorted((root / "types").glob("*.avsc")))
        for folder in FOLDERS:
            if not (root / folder / "__init__.py").exists():
                continue
            home = f"{module.schemas}.{folder}"
            classes.update(importlib.import_module(home).AVRO_TYPES)
            self.homes.add(home)
            if folder == "types":
                continue
            for schema in load_folder(root / folder, shared).values():
                self._add(schema, classes, released_versions(root, schema.name))

    def _add(self, schema: AvroSchema, classes: dict[str, type[Any]], released: list[AvroSchema]) -> None:
        message = classes.get(schema.name)
        if message is None:
            raise SchemaError(f"{schema.name} has no class; run `datapunk schemas generate`")
        codec = Codec[Any](schema, classes)
        self.current[schema.name] = schema
        self._classes[schema.name] = message
        self._codecs[message] = codec
        self._by_name[schema.name] = (schema.fingerprint, codec)
        self.versions[schema.name] = len(released) + 1
        for version, old in enumerate(released, 1):
            if old.fingerprint == schema.fingerprint:
                self.versions[schema.name] = version
            else:
                self._writers[schema.name, old.fingerprint] = Writer(version, Codec(old))

    def class_of(self, type: str) -> type[Message]:
        """The class of a message type.

        Raises:
            UnknownMessageType: if no module declares it.
        """
        found = self._classes.get(type)
        if found is None:
            raise UnknownMessageType(f"no module here declares a message {type!r}")
        return found

    def codec(self, message: type[M]) -> Codec[M]:
        """The codec of a message class."""
        return self._codecs[message]

    def fingerprint(self, message: type[Message]) -> str:
        """The fingerprint of a class's present schema."""
        return self._by_name[message.message_type][0]

    def encode(self, message: Message, content_type: str = AVRO_JSON) -> bytes:
        """A message as Avro JSON or Avro binary.

        Raises:
            UnencodableMessage: if a value doesn't fit the schema.
        """
        codec = self._codecs[type(message)]
        return codec.encode_json(message) if content_type == AVRO_JSON else codec.encode_binary(message)

    def decode(self, type: str, body: bytes, content_type: str | None, fingerprint: str | None) -> Message:
        """A message from its body.

        Args:
            type: the message type.
            body: as it was sent or stored.
            content_type: Avro JSON (also when none is given) or Avro binary.
            fingerprint: of the schema it was written with; none means the present one.

        Raises:
            UnknownMessageType: if no module declares the type.
            UnknownSchema: if nobody knows the fingerprint.
            UndecodableMessage: if the body isn't what it's said to be.
            UnsupportedContentType: if it's said to be something else.
        """
        known = self._by_name.get(type)
        if known is None:
            raise UnknownMessageType(f"no module here declares a message {type!r}")
        current, codec = known
        if fingerprint is not None and fingerprint != current:
            return self._decode_old(type, body, content_type, fingerprint, codec)
        if content_type == AVRO_JSON or not content_type:
            return codec.decode_json(body)
        if content_type == AVRO_BINARY:
            return codec.decode_binary(body)
        raise _unsupported(content_type)

    def _decode_old(
        self, type: str, body: bytes, content_type: str | None, fingerprint: str, reader: Codec[Any]
    ) -> Message:
        """Read with the writer's schema, upcast where that's called for, and resolve to the present schema."""
        writer = self._writers.get((type, fingerprint))
        if writer is None:
            raise UnknownSchema(
                f"{type}: no schema with fingerprint {fingerprint!r} is registered; the present one is "
                f"{self._by_name[type][0]}. See /v1/schemas, or leave the header `schema` out"
            )
        if content_type == AVRO_JSON or not content_type:
            old = writer.codec.decode_json(body)
        elif content_type == AVRO_BINARY:
            old = writer.codec.decode_binary(body)
        else:
            raise _unsupported(content_type)
        try:
            if upcaster := upcaster_of(type, writer.version):
                record = read_plain(writer.codec.encode_binary(old), writer.codec.schema.parsed)
                return reader.decode_binary(write_plain(upcaster(record), reader.schema.parsed))
            value = msgspec.json.decode(writer.codec.encode_json(old))
            resolved = resolve_value(value, writer.codec.schema.normal, reader.schema.normal)
            return reader.decode_json(msgspec.json.encode(resolved))
        except (*UNFIT, UndecodableMessage) as error:
            raise UndecodableMessage(f"{type} version {writer.version}: {error}") from error

    async def sync(self, conn: AsyncConnection[Any]) -> None:
        """Put our schemas into the table `schemas`, and learn those that others put there."""
        rows = [(schema.fingerprint, name, self.versions[name], schema.text) for name, schema in self.current.items()]
        rows += [
            (fingerprint, name, writer.version, writer.codec.schema.text)
            for (name, fingerprint), writer in self._writers.items()
        ]
        async with conn.cursor() as cursor:
            await cursor.executemany(statement("insert_schema"), rows)
        await self.learn(conn)

    async def learn_of(self, conn: AsyncConnection[Any], events: Iterable[EventData | PastEvent]) -> None:
        """Learn the schemas of stored events, should a newer process have brought some since we started."""
        if any(self.lacks(type, fingerprint) for type, fingerprint in {(event.type, event.schema) for event in events}):
            await self.learn(conn)

    def lacks(self, type: str, fingerprint: str) -> bool:
        """Whether a schema of a known type isn't known: what it says may be learned."""
        known = self._by_name.get(type)
        return known is not None and fingerprint != known[0] and (type, fingerprint) not in self._writers

    async def learn(self, conn: AsyncConnection[Any]) -> None:
        """Learn the schemas that others put into the table `schemas`; nothing is written."""
        found = await conn.execute(statement("query_schemas"), {"names": list(self.current)})
        async for fingerprint, name, version, text in found:
            if fingerprint != self._by_name[name][0] and (name, fingerprint) not in self._writers:
                self._writers[name, fingerprint] = Writer(version, Codec(parse_text(text)))


def _unsupported(content_type: str) -> UnsupportedContentType:
    return UnsupportedContentType(f"content type {content_type!r}: use {AVRO_JSON} (the default) or {AVRO_BINARY}")
