"""Codecs: one message class or record schema to and from Avro JSON and Avro binary.

Compiled once for each schema (docs/adr/0004-compiled-codecs.md). Avro JSON is the encoding of the Avro 1.12
specification: unions are tagged, bytes are text in ISO 8859-1, logical types are written as the primitives under
them. Stricter than that where a value couldn't be stored or read elsewhere: no NaN or infinities, no NUL in
strings, no unknown fields, no record within itself more than 64 deep.
"""

from __future__ import annotations

import itertools
import sys
import types
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Generic, NoReturn, TypeVar

import msgspec

from datapunk.errors import UndecodableMessage, UnencodableMessage
from datapunk.messages.codec_shapes import Shape
from datapunk.messages.codec_source import SourceWriter
from datapunk.messages.schema import AvroSchema, parse_text
from datapunk.messages.text_cache import TextCache

M = TypeVar("M")

AVRO_JSON = "application/avro+json"
AVRO_BINARY = "application/avro"
MAX_REASON = 500  # characters

PRELUDE = """
from datetime import date, datetime, time
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any, ClassVar
from uuid import UUID
from msgspec import Meta, Struct, UNSET, UnsetType, field
from datapunk.messages.avro_values import *
from datapunk.messages.binary_values import *
"""

# What a value that doesn't fit can raise in compiled code and the value functions.
UNFIT = (
    ValueError,
    TypeError,
    KeyError,
    OverflowError,
    AttributeError,
    EOFError,
    IndexError,
    ArithmeticError,
)

_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True)
class FieldDescription:
    """A field of a record, as far as tables care.

    Attributes:
        name: in the schema.
        attribute: on the Python object.
        type: Avro's primitive or complex type: `string`, `long`, `enum`, `array`, `union` (of several), …
        logical_type: as in `timestamp-micros`, or none.
        is_nullable: whether null is among its branches.
    """

    name: str
    attribute: str
    type: str
    logical_type: str | None
    is_nullable: bool


class Codec(Generic[M]):
    """Encodes and decodes one record type.

    Args:
        schema: of the record.
        classes: the Python classes of the named types in it, by full name; others get one made.
    """

    def __init__(self, schema: AvroSchema, classes: Mapping[str, type[Any]] | None = None) -> None:
        self.schema = schema
        _ = schema.parsed  # raises SchemaError if it isn't valid
        self._classes = classes or {}
        writer, shape = self._source()
        with _compiled(writer) as names:
            wire = names[shape.hint]
            self._json_decode = msgspec.json.Decoder(wire).decode
            self._json_decode_array = msgspec.json.Decoder(list[wire]).decode
        self._names = names
        self._from_wire, self._to_wire = names[_function(shape.from_wire(""))], names[_function(shape.to_wire(""))]
        self._json_encode = msgspec.json.Encoder().encode

    def _source(self) -> tuple[SourceWriter, Shape]:
        """The same at any time."""
        writer = SourceWriter(self._classes, self.schema.normal.is_recursive)
        return writer, writer.shape(self.schema.normal.root)

    @cached_property
    def _binary(self) -> tuple[Any, Any]:
        """Reads and writes Avro binary. It's half of all source, and many schemas have their records in JSON only."""
        writer, shape = self._source()
        _run(writer.binary, self._names)
        return self._names[_function(shape.read("")[0])], self._names[_function(shape.write("")[0])]

    @cached_property
    def _read(self) -> Any:
        return self._binary[0]

    @cached_property
    def _write(self) -> Any:
        return self._binary[1]

    @cached_property
    def _parts(self) -> tuple[Any, Any]:
        """What converts each field by itself, from the wire and to it: only to say which field is wrong."""
        writer, shape = self._source()
        _run(writer.parts, self._names)
        from_wire, to_wire = _function(shape.from_wire("")), _function(shape.to_wire(""))
        return self._names[f"{from_wire}_fields"], self._names[f"{to_wire}_fields"]

    @property
    def _from_wire_fields(self) -> Any:
        return self._parts[0]

    @property
    def _to_wire_fields(self) -> Any:
        return self._parts[1]

    def decode_json(self, body: bytes) -> M:
        """From Avro JSON.

        Raises:
            UndecodableMessage: naming the place.
        """
        try:
            wire = self._json_decode(body)
        except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
            self._refuse(error)
        try:
            message = self._from_wire(wire)
        except (*UNFIT, RecursionError) as error:
            self._refuse_field(wire, self._from_wire_fields, error)
        if b"\\u0000" in body:
            self._refuse_nul(message, "$")
        return message

    def decode_json_array(self, body: bytes) -> list[M]:
        """From a JSON array of records in Avro JSON.

        Raises:
            UndecodableMessage: naming the place, as in `$[3].name`.
        """
        try:
            wires = self._json_decode_array(body)
        except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
            self._refuse(error)
        result: list[M] = []
        from_wire = self._from_wire
        try:
            for wire in wires:
                result.append(from_wire(wire))
        except (*UNFIT, RecursionError) as error:
            self._refuse_field(wires[len(result)], self._from_wire_fields, error, f"$[{len(result)}]")
        if b"\\u0000" in body:
            for index, message in enumerate(result):
                self._refuse_nul(message, f"$[{index}]")
        return result

    def encode_json(self, message: M) -> bytes:
        """As Avro JSON.

        Raises:
            UnencodableMessage: if a value doesn't fit the schema.
        """
        try:
            return self._json_encode(self._to_wire(message))
        except (*UNFIT, RecursionError) as error:
            raise UnencodableMessage(self._explain(message, self._to_wire_fields, error)) from error

    def decode_binary(self, body: bytes) -> M:
        """From Avro binary.

        Raises:
            UndecodableMessage: if it's cut off, too long, or not of this schema.
        """
        try:
            message, end = self._read(body, 0)
        except (*UNFIT, RecursionError) as error:
            self._refuse(error)
        if end != len(body):
            raise UndecodableMessage(f"{self.schema.name}: {len(body) - end} bytes are left over after the record")
        return message

    def encode_binary(self, message: M) -> bytes:
        """As Avro binary.

        Raises:
            UnencodableMessage: if a value doesn't fit the schema.
        """
        parts: list[bytes] = []
        try:
            self._write(message, parts.append)
        except (*UNFIT, RecursionError) as error:
            raise UnencodableMessage(self._explain(message, self._to_wire_fields, error)) from error
        return b"".join(parts)

    @cached_property
    def fields(self) -> tuple[FieldDescription, ...]:
        """The record's fields in order."""
        from datapunk.messages.field_types import describe_fields

        return describe_fields(self.schema)

    def _refuse(self, error: BaseException) -> NoReturn:
        if isinstance(error, RecursionError):
            raise UndecodableMessage(f"{self.schema.name}: nested too deeply") from None
        if isinstance(error, UnicodeError):
            raise UndecodableMessage(f"{self.schema.name}: not valid UTF-8: {error}") from None
        if isinstance(error, (EOFError, IndexError)):
            raise UndecodableMessage(f"{self.schema.name}: cut off: the body ends before the record does") from None
        raise UndecodableMessage(f"{self.schema.name}: {_reason(error)}") from None

    def _refuse_field(self, wire: Any, fields: Any, error: BaseException, path: str = "$") -> NoReturn:
        raise UndecodableMessage(self._explain(wire, fields, error, path)) from None

    def _refuse_nul(self, message: M, path: str) -> None:
        """Refuse a message that couldn't be written again: the body has a NUL, in bytes or where none may be."""
        try:
            self._to_wire(message)
        except UNFIT as error:
            self._refuse_field(message, self._to_wire_fields, error, path)

    def _explain(self, record: Any, fields: Any, error: BaseException, path: str = "$") -> str:
        """Find the field that failed by trying each; only ever done for a message that is refused."""
        if isinstance(error, RecursionError):
            return f"{self.schema.name}: nested too deeply"
        for name, convert in fields:
            try:
                convert(record)
            except (*UNFIT, RecursionError) as at_field:
                return f"{self.schema.name}: {_reason(at_field)} - at `{path}.{name}`"
        return f"{self.schema.name}: {_reason(error)}"


@contextmanager
def _compiled(writer: SourceWriter) -> Generator[dict[str, Any]]:
    """Run the source, and give the names it defines. Of a schema nothing is in it but what the grammar allows.

    msgspec looks a class's annotations up in its module, once: only for as long as that takes is it among
    `sys.modules`, and afterwards a codec goes when nobody uses it any more.
    """
    module = types.ModuleType(f"datapunk.messages.compiled_{next(_numbers)}")
    module.__dict__.update(writer.used)
    sys.modules[module.__name__] = module
    try:
        _run(["from __future__ import annotations", PRELUDE, *writer.lines], module.__dict__)
        yield module.__dict__
    finally:
        del sys.modules[module.__name__]


def _run(lines: list[str], names: dict[str, Any]) -> None:
    exec(compile("\n".join(lines), names["__name__"], "exec"), names)  # noqa: S102


def _reason(error: BaseException) -> str:
    """What an error says, without the middle if it quotes a large value: the place is at the end."""
    text = str(error) or repr(error)
    return text if len(text) <= MAX_REASON else f"{text[: MAX_REASON // 2]}…{text[-MAX_REASON // 2 :]}"


def _function(call: str) -> str:
    """The name of the function that is called in a statement or an expression."""
    return call.rpartition("= ")[2].partition("(")[0]


@TextCache
def codec_of_text(text: str) -> Codec[Any]:
    """The codec of a schema that came as text, as a dataset's does; records decode to classes made for it.

    Raises:
        SchemaError: if the text isn't the schema of a record.
    """
    return Codec(parse_text(text))
