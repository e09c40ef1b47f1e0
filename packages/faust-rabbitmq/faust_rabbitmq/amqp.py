"""As much of AMQP 1.0 as it takes to read what RabbitMQ makes of an AMQP 0.9.1 message.

See OASIS AMQP 1.0, part 1 (types) and part 3.2 (message format).
"""

from __future__ import annotations

from collections.abc import Callable
from struct import Struct
from typing import NamedTuple, TypeAlias, cast

__all__ = ["Sections", "Value", "sections"]

Value: TypeAlias = "bytes | str | int | float | bool | list[Value] | dict[str, Value] | None"

_ANNOTATIONS, _PROPERTIES, _APPLICATION_PROPERTIES, _DATA, _VALUE = 0x72, 0x73, 0x74, 0x75, 0x77
_CREATION_TIME = 9  # its place among the properties

_FIXED: dict[int, tuple[Struct, Callable[..., Value]]] = {
    0x50: (Struct(">B"), int),
    0x51: (Struct(">b"), int),
    0x52: (Struct(">B"), int),
    0x53: (Struct(">B"), int),
    0x54: (Struct(">b"), int),
    0x55: (Struct(">b"), int),
    0x56: (Struct(">?"), bool),
    0x60: (Struct(">H"), int),
    0x61: (Struct(">h"), int),
    0x70: (Struct(">I"), int),
    0x71: (Struct(">i"), int),
    0x72: (Struct(">f"), float),
    0x73: (Struct(">I"), int),
    0x80: (Struct(">Q"), int),
    0x81: (Struct(">q"), int),
    0x82: (Struct(">d"), float),
    0x83: (Struct(">q"), int),
    0x98: (Struct(">16s"), bytes),
}
_CONSTANT: dict[int, Value] = {0x40: None, 0x41: True, 0x42: False, 0x43: 0, 0x44: 0, 0x45: []}
_TEXT = {0xA1, 0xB1, 0xA3, 0xB3}


class Sections(NamedTuple):
    """What a message is made of."""

    annotations: dict[str, Value]
    application_properties: dict[str, Value]
    body: bytes | None
    created_at: float | None
    """Seconds since 1970."""


def sections(message: bytes) -> Sections:
    """Take a message apart.

    Raises:
        ValueError: it isn't AMQP 1.0.
    """
    annotations: dict[str, Value] = {}
    properties: dict[str, Value] = {}
    body: bytes | None = None
    created_at: float | None = None
    at, end = 0, len(message)
    while at < end:
        if message[at] != 0:
            raise ValueError("a message isn't AMQP 1.0")
        kind, at = _value(message, at + 1)
        content, at = _value(message, at)
        if kind == _ANNOTATIONS:
            annotations = cast("dict[str, Value]", content)
        elif kind == _APPLICATION_PROPERTIES:
            properties = cast("dict[str, Value]", content)
        elif kind == _PROPERTIES:
            created_at = _created_at(cast("list[Value]", content))
        elif kind == _DATA:
            body = (body or b"") + cast("bytes", content)
        elif kind == _VALUE:
            body = content.encode() if isinstance(content, str) else cast("bytes | None", content)
    return Sections(annotations, properties, body, created_at)


def _created_at(properties: list[Value]) -> float | None:
    created_at = properties[_CREATION_TIME] if len(properties) > _CREATION_TIME else None
    return created_at / 1000 if isinstance(created_at, int) else None


def _value(message: bytes, at: int) -> tuple[Value, int]:
    kind = message[at]
    at += 1
    if kind in _CONSTANT:
        return _CONSTANT[kind], at
    if kind in _FIXED:
        layout, convert = _FIXED[kind]
        return convert(layout.unpack_from(message, at)[0]), at + layout.size
    width = 1 if kind & 0x10 == 0 else 4
    size = int.from_bytes(message[at : at + width])
    at += width
    end = at + size
    if kind & 0xE0 == 0xA0:
        content = message[at:end]
        return (content.decode() if kind in _TEXT else content), end
    if kind & 0xE0 not in (0xC0, 0xE0):
        raise ValueError(f"a message has an unknown AMQP 1.0 type, {kind:#x}")
    count = int.from_bytes(message[at : at + width])
    at += width
    items: list[Value] = []
    if kind & 0xE0 == 0xE0:  # an array: one type for all, which nothing here reads
        return items, end
    for _ in range(count):
        item, at = _value(message, at)
        items.append(item)
    if kind & 0x0F == 1:
        return {str(name): value for name, value in zip(items[::2], items[1::2], strict=True)}, end
    return items, end
