"""A message in a stream, to bytes and back: AMQP 1.0, as RabbitMQ keeps it.

What Faust writes has all that it needs in one annotation, `x-opt-faust`, read at a glance. What others publish over
AMQP 0.9.1, and an exchange routed here, is AMQP 1.0 as the broker translates it: its key is the routing key, or the
header that the topic hashes on.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from struct import Struct
from typing import NamedTuple

from faust_rabbitmq.amqp import Value, sections

__all__ = ["MARKER", "PROBE_HEADER", "Mark", "Record", "decode", "encode"]

PROBE_HEADER = "faust-probe"
"""The header of what only shows where an exchange routes a key."""

Headers = list[tuple[str, bytes]]

# The section of annotations, a map32 of one pair, whose name is a symbol of 11 bytes and whose value is a binary:
# what follows is the length of the map, then this:
_BEGIN = b"\x00\x53\x72\xd1"
_NAME = b"\x00\x00\x00\x02\xa3\x0bx-opt-faust\xb0"
_NAME_END = len(_BEGIN) + 4 + len(_NAME)
_U32 = Struct(">I")
_FIXED = Struct(">BdIQhH")  # flags, timestamp, epoch, number, length of the key (-1: none), number of headers
_FIXED_AT = _NAME_END + 4
_DATA = b"\x00\x53\x75\xb0"
_HEADER = Struct(">HI")
_IS_MARKER, _IS_NUMBERED, _HAS_NO_VALUE = 1, 2, 4  # AMQP's own null as a body stops the broker's AMQP 0.9.1 readers
_LONG_KEY = 0x7FFF  # keys of this many bytes and more are refused


class Mark(NamedTuple):
    """Whose write it is, for those that a commit decides about: the owner's epoch, and the how manieth of it."""

    epoch: int
    number: int


class Record(NamedTuple):
    """What is in a message."""

    key: bytes | None
    value: bytes | None
    headers: Headers
    timestamp: float | None
    """When it was sent, in seconds since 1970; None: its sender didn't say."""
    mark: Mark | None
    is_marker: bool = False
    """Whether it's nobody's message: the beginning of a stream, or a probe."""


def encode(
    key: bytes | None,
    value: bytes | None,
    headers: Iterable[tuple[str, bytes]] = (),
    timestamp: float = 0.0,
    mark: Mark | None = None,
    flags: int = 0,
) -> bytes:
    """A message that Faust writes.

    Raises:
        ValueError: its key is too long.
    """
    if key is not None and len(key) >= _LONG_KEY:
        raise ValueError(f"a key has {len(key):,} bytes; at most {_LONG_KEY - 1:,} are possible")
    epoch, number = (0, 0) if mark is None else mark
    if mark is not None:
        flags |= _IS_NUMBERED
    if value is None:
        flags |= _HAS_NO_VALUE
        value = b""
    packed_headers = b""
    count = 0
    for name, text in headers:
        encoded = name.encode()
        packed_headers += _HEADER.pack(len(encoded), len(text)) + encoded + text
        count += 1
    fixed = _FIXED.pack(flags, timestamp, epoch, number, -1 if key is None else len(key), count)
    size = _FIXED.size + len(key or b"") + len(packed_headers)
    annotations = (_BEGIN, _U32.pack(len(_NAME) + 4 + size), _NAME, _U32.pack(size), fixed, key or b"", packed_headers)
    return b"".join((*annotations, _DATA, _U32.pack(len(value)), value))


MARKER = encode(None, None, flags=_IS_MARKER)
"""Begins every stream, so that it's never empty and its end can be told."""


def decode(message: bytes, key_header: str | None = None) -> Record:
    """What a message says.

    Args:
        message: as it's in the stream.
        key_header: the header that is the key of messages from elsewhere; None: their routing key.
    """
    if message[8:_NAME_END] != _NAME:
        return _foreign(message, key_header)
    flags, timestamp, epoch, number, key_size, header_count = _FIXED.unpack_from(message, _FIXED_AT)
    at = _FIXED_AT + _FIXED.size
    key: bytes | None = None
    if key_size >= 0:
        key = message[at : at + key_size]
        at += key_size
    headers: Headers = []
    for _ in range(header_count):
        name_size, size = _HEADER.unpack_from(message, at)
        at += _HEADER.size
        name = message[at : at + name_size].decode()
        at += name_size
        headers.append((name, message[at : at + size]))
        at += size
    value = None if flags & _HAS_NO_VALUE else message[at + 8 :]
    mark = Mark(epoch, number) if flags & _IS_NUMBERED else None
    return Record(key, value, headers, timestamp or None, mark, bool(flags & _IS_MARKER))


def _foreign(message: bytes, key_header: str | None) -> Record:
    found = sections(message)
    properties = found.application_properties
    if key_header is None:
        key = _optional(found.annotations.get("x-routing-key"))
    else:
        key = _optional(properties.get(key_header))
    return Record(key, found.body, _headers(properties), found.created_at, None, PROBE_HEADER in properties)


def _headers(properties: Mapping[str, Value]) -> Headers:
    return [(name, _bytes(value)) for name, value in properties.items()]


def _optional(value: Value) -> bytes | None:
    return None if value is None else _bytes(value)


def _bytes(value: Value) -> bytes:
    if isinstance(value, bytes):
        return value
    if isinstance(value, bool):
        return b"true" if value else b"false"
    return b"" if value is None else str(value).encode()
