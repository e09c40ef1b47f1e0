"""Plain JSON: how people and web clients write messages, beside the two Avro encodings of the wire.

The difference to Avro JSON: unions carry no tag, bytes are base64, times are ISO 8601 text, uuids and
decimals are text (a decimal may be a number, too). A string field with the Avro attribute
`"contentMediaType": "application/json"` holds JSON text; here its content stands in its place, as JSON.

    {"name": "Weather", "schema": {"type": "record", …}, "key": "station"}

A message whose unions can't be told apart without a tag (two kinds of record, say) has no plain form.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar, cast

import msgspec

from datapunk.errors import SchemaError, UndecodableMessage, UnencodableMessage
from datapunk.messages.message import Message
from datapunk.messages.python_names import python_name

M = TypeVar("M", bound=Message)
Avro = Any  # a parsed schema: a name, a list of branches, or a dict
Convert = Callable[[Any], Any]

CONTENT_TYPE = "application/json"
JSON_MEDIA_TYPE = "application/json"  # the value of `contentMediaType` that we look for
NAMED_KINDS = frozenset({"record", "error", "enum", "fixed"})


def holds_json(avro: Avro) -> bool:
    """Whether a schema is a string that holds JSON text, or the union of null and such a string."""
    if isinstance(avro, list):
        branches = [branch for branch in cast("list[Avro]", avro) if branch != "null"]
        return len(branches) == 1 and holds_json(branches[0])
    return isinstance(avro, dict) and cast("dict[str, Avro]", avro).get("contentMediaType") == JSON_MEDIA_TYPE


class PlainCodec(Generic[M]):
    """Reads and writes one class of message as plain JSON.

    Args:
        message: the generated class.
        avro: its parsed schema.
        named: other named types that the schema refers to, by full name.

    Raises:
        SchemaError: if the type has no plain form.
    """

    def __init__(self, message: type[M], avro: Avro, named: Mapping[str, Avro] | None = None) -> None:
        self.message = message
        self._name = message.message_type
        shape = _Shapes(named or {}).of(message, avro)
        self._read, self._write = shape.read, shape.write
        try:
            self._decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(shape.type)
        except TypeError as error:
            raise SchemaError(f"{self._name} has no plain JSON form, use Avro JSON instead: {error}") from None
        self._encoder = msgspec.json.Encoder(decimal_format="string")

    def decode(self, body: bytes) -> M:
        """Read a message.

        Raises:
            UndecodableMessage: naming the place, as in `$.partitions`.
        """
        try:
            value = self._decoder.decode(body)
            message = cast(M, self._read(value) if self._read else value)
        except msgspec.MsgspecError as error:
            raise UndecodableMessage(f"{self._name}: {error}") from None
        except UnicodeDecodeError as error:
            raise UndecodableMessage(f"{self._name}: not UTF-8: {error.reason}") from None
        except RecursionError:
            raise UndecodableMessage(f"{self._name}: nested too deeply") from None
        if b"\\u0000" in body and _has_nul(message):
            raise UndecodableMessage(f"{self._name}: a string has a NUL character, which can't be stored")
        return message

    def encode(self, message: M) -> bytes:
        """Write a message.

        Raises:
            UnencodableMessage: if a field that should hold JSON text doesn't.
        """
        try:
            return self._encoder.encode(self._write(message) if self._write else message)
        except (msgspec.MsgspecError, TypeError, ValueError) as error:
            raise UnencodableMessage(f"{self._name}: {error}") from None


class _Shape:
    """A type as JSON has it, and the ways to the message's own type and back (None: they are equal)."""

    __slots__ = ("read", "type", "write")

    def __init__(self, type: Any, read: Convert | None = None, write: Convert | None = None) -> None:
        self.type, self.read, self.write = type, read, write


class _Shapes:
    """Derives shapes from a Python type and its Avro schema, side by side."""

    def __init__(self, named: Mapping[str, Avro]) -> None:
        self._named = dict(named)
        self._under_way: set[type] = set()
        self._done: dict[type, _Shape] = {}

    def of(self, hint: Any, avro: Avro) -> _Shape:
        if isinstance(avro, str):
            avro = self._named.get(avro, avro)
        if isinstance(avro, list):
            return self._of_union(hint, cast("list[Avro]", avro))
        if not isinstance(avro, dict):
            return _Shape(hint)
        schema = cast("dict[str, Avro]", avro)
        kind = schema.get("type")
        if kind in NAMED_KINDS:
            name, space = str(schema["name"]), str(schema.get("namespace", ""))
            self._named[f"{space}.{name}" if space and "." not in name else name] = schema
        if holds_json(schema):
            return _Shape(msgspec.Raw, _text_of_json, _json_of_text)
        if kind in ("record", "error") and isinstance(hint, type) and issubclass(hint, msgspec.Struct):
            return self._of_record(hint, schema)
        if kind == "array":
            return self._of_items(hint, schema["items"], _each, list)
        if kind == "map":
            return self._of_items(hint, schema["values"], _each_value, dict)
        return _Shape(hint)

    def _of_items(self, hint: Any, items: Avro, lift: Callable[[Convert], Convert], plain: type) -> _Shape:
        arguments = [each for each in typing.get_args(hint) if each is not ...]
        if not arguments:
            return _Shape(hint)
        inner = self.of(arguments[-1], items)
        if inner.read is None:
            return _Shape(hint)
        wire = list[inner.type] if plain is list else dict[str, inner.type]
        read, write = lift(inner.read), lift(cast(Convert, inner.write))
        if typing.get_origin(hint) is tuple:
            return _Shape(wire, lambda value: tuple(read(value)), write)
        return _Shape(wire, read, write)

    def _of_union(self, hint: Any, branches: list[Avro]) -> _Shape:
        rest = [branch for branch in branches if branch != "null"]
        if holds_json(branches):  # `Raw | None` isn't possible, and `Raw` takes null as well
            return _Shape(msgspec.Raw, _text_of_json_or_none, _json_of_text)
        arguments = [each for each in _union_arguments(hint) if each is not type(None)]
        if len(rest) != 1 or len(arguments) != 1:
            return _Shape(hint)  # told apart by their JSON types, where that's possible
        inner = self.of(arguments[0], rest[0])
        if inner.read is None:
            return _Shape(hint)
        return _Shape(inner.type | None, _unless_none(inner.read), _unless_none(cast(Convert, inner.write)))

    def _of_record(self, cls: type[msgspec.Struct], schema: dict[str, Avro]) -> _Shape:
        if cls in self._done:
            return self._done[cls]
        if cls in self._under_way:  # a record inside itself: its own form must do
            return _Shape(cls)
        self._under_way.add(cls)
        avro_fields = {python_name(str(field["name"])): field for field in schema["fields"]}
        fields: list[tuple[str, Any, Any]] = []
        renamed: dict[str, str] = {}
        reads: list[tuple[str, Convert]] = []
        writes: list[tuple[str, Convert]] = []
        for field in msgspec.structs.fields(cls):
            avro_field = avro_fields.get(field.name, {"name": field.encode_name, "type": "null"})
            shape = self.of(field.type, avro_field["type"])
            default: Any = field.default
            if shape.write is not None and default is not msgspec.NODEFAULT:
                default = shape.write(default)
            if field.default_factory is not msgspec.NODEFAULT:
                default = msgspec.field(default_factory=field.default_factory)
            elif default is msgspec.NODEFAULT:
                default = msgspec.field()
            elif isinstance(default, dict | list | set | bytearray | msgspec.Struct):
                default = msgspec.field(default_factory=_constant(default))
            fields.append((field.name, shape.type, default))
            if field.name != avro_field["name"]:
                renamed[field.name] = avro_field["name"]
            if shape.read is not None and shape.write is not None:
                reads.append((field.name, shape.read))
                writes.append((field.name, shape.write))
        self._under_way.discard(cls)
        if (
            not reads
            and not renamed
            and cls.__struct_config__.forbid_unknown_fields
            and not cls.__struct_config__.array_like
        ):
            shape = _Shape(cls)
        else:
            twin = msgspec.defstruct(
                cls.__name__, fields, kw_only=True, forbid_unknown_fields=True, rename=renamed or None
            )
            names = tuple(name for name, _, _ in fields)
            shape = _Shape(twin, _between(cls, names, reads), _between(twin, names, writes))
        self._done[cls] = shape
        return shape


def _has_nul(value: Any) -> bool:
    if isinstance(value, str):
        return "\0" in value
    if isinstance(value, msgspec.Struct):
        return any(_has_nul(getattr(value, name)) for name in value.__struct_fields__)
    if isinstance(value, dict):
        return any(_has_nul(each) for pair in cast("dict[Any, Any]", value).items() for each in pair)
    if isinstance(value, list | tuple):
        return any(_has_nul(each) for each in cast("list[Any]", value))
    return False


def _between(target: type, names: tuple[str, ...], converts: list[tuple[str, Convert]]) -> Convert:
    def convert(value: Any) -> Any:
        values = {name: getattr(value, name) for name in names}
        for name, change in converts:
            values[name] = change(values[name])
        return target(**values)

    return convert


def _text_of_json(raw: msgspec.Raw) -> str:
    return msgspec.json.format(bytes(raw), indent=-1).decode()  # without white space between tokens


def _text_of_json_or_none(raw: msgspec.Raw) -> str | None:
    text = _text_of_json(raw)
    return None if text == "null" else text


def _json_of_text(text: str | None) -> msgspec.Raw:
    if text is None:
        return msgspec.Raw(b"null")
    msgspec.json.decode(text, type=msgspec.Raw)  # what isn't JSON mustn't get into JSON
    return msgspec.Raw(text.encode())


def _each(convert: Convert) -> Convert:
    return lambda values: [convert(value) for value in values]


def _each_value(convert: Convert) -> Convert:
    return lambda values: {key: convert(value) for key, value in values.items()}


def _unless_none(convert: Convert) -> Convert:
    return lambda value: None if value is None else convert(value)


def _constant(value: Any) -> Callable[[], Any]:
    return lambda: value


def _union_arguments(hint: Any) -> tuple[Any, ...]:
    is_union = typing.get_origin(hint) in (typing.Union, types.UnionType)
    return typing.get_args(hint) if is_union else (hint,)
