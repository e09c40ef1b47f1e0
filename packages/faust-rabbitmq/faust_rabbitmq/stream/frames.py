"""The frames of RabbitMQ's stream protocol that a transport needs, to bytes and back.

See PROTOCOL.adoc of the plugin rabbitmq_stream. Every frame is a length (u32), a key (u16), a version (u16) and what
follows; all numbers are big-endian.
"""

from __future__ import annotations

import gzip
from collections.abc import Iterable, Mapping, Sequence
from enum import IntEnum
from struct import Struct
from typing import NamedTuple

from faust_rabbitmq.errors import FaustRabbitMQError

__all__ = [
    "Chunk",
    "Key",
    "Offset",
    "body",
    "credit",
    "frame",
    "parse_chunk",
    "publish",
    "request",
    "string",
    "strings",
]

HEADER = Struct(">IHH")
RESPONSE = 0x8000  # set in the key of an answer
_VERSION = 1
_CHUNK = Struct(">bbHIqQQIIII")
_U32 = Struct(">I")
_PUBLISHED = Struct(">QI")
_SUB_BATCH = Struct(">BHII")


class Key(IntEnum):
    """What a frame is."""

    DECLARE_PUBLISHER = 1
    PUBLISH = 2
    PUBLISH_CONFIRM = 3
    PUBLISH_ERROR = 4
    QUERY_PUBLISHER_SEQUENCE = 5
    DELETE_PUBLISHER = 6
    SUBSCRIBE = 7
    DELIVER = 8
    CREDIT = 9
    UNSUBSCRIBE = 12
    METADATA = 15
    METADATA_UPDATE = 16
    PEER_PROPERTIES = 17
    SASL_HANDSHAKE = 18
    SASL_AUTHENTICATE = 19
    TUNE = 20
    OPEN = 21
    CLOSE = 22
    HEARTBEAT = 23


class Offset(NamedTuple):
    """Where to begin reading a stream."""

    kind: int
    at: int = 0

    @classmethod
    def first(cls) -> Offset:
        """At the oldest that is still there."""
        return cls(1)

    @classmethod
    def last(cls) -> Offset:
        """At the newest chunk."""
        return cls(2)

    @classmethod
    def next(cls) -> Offset:
        """After all that is there."""
        return cls(3)

    @classmethod
    def of(cls, offset: int) -> Offset:
        """At this offset, or the next one that is still there."""
        return cls(4, offset)

    def encoded(self) -> bytes:
        """As it stands in a subscription."""
        return self.kind.to_bytes(2) + (self.at.to_bytes(8) if self.kind == 4 else b"")


class Chunk(NamedTuple):
    """What the broker delivers at a time: messages that were stored together."""

    first_offset: int
    timestamp: float
    """When it was stored, in seconds since 1970."""
    messages: Sequence[bytes]


def string(text: str) -> bytes:
    """A text, with its length."""
    encoded = text.encode()
    return len(encoded).to_bytes(2) + encoded


def strings(pairs: Mapping[str, str]) -> bytes:
    """Pairs of texts, with their number."""
    return len(pairs).to_bytes(4) + b"".join(string(name) + string(value) for name, value in pairs.items())


def frame(key: int, content: bytes = b"") -> bytes:
    """A frame that has no answer, or is one."""
    return HEADER.pack(4 + len(content), key, _VERSION) + content


def request(key: int, correlation: int, content: bytes) -> bytes:
    """A frame whose answer carries the same correlation."""
    return HEADER.pack(8 + len(content), key, _VERSION) + correlation.to_bytes(4) + content


def credit(subscription: int, chunks: int) -> bytes:
    """Leave to deliver that many more chunks."""
    return frame(Key.CREDIT, subscription.to_bytes(1) + chunks.to_bytes(2))


def publish(publisher: int, messages: Iterable[tuple[int, bytes]]) -> bytes:
    """Messages with their publishing ids."""
    parts = [b""]
    size = count = 0
    for id, message in messages:
        parts += (_PUBLISHED.pack(id, len(message)), message)
        size += 12 + len(message)
        count += 1
    parts[0] = HEADER.pack(9 + size, Key.PUBLISH, _VERSION) + publisher.to_bytes(1) + count.to_bytes(4)
    return b"".join(parts)


def body(text: bytes) -> bytes:
    """Bytes, with their length."""
    return len(text).to_bytes(4) + text


def parse_chunk(delivered: bytes) -> Chunk:
    """What a Deliver holds, after its subscription.

    Raises:
        FaustRabbitMQError: its messages are compressed in a way that Python can't undo by itself.
    """
    _magic, kind, entries, _records, timestamp, _epoch, first, _crc, _length, _trailer, _ = _CHUNK.unpack_from(
        delivered, 1
    )
    if kind != 0:  # the broker's own notes
        return Chunk(first, timestamp / 1000, ())
    size_at = _U32.unpack_from
    at = 1 + _CHUNK.size
    messages: list[bytes] = []
    append = messages.append
    for _ in range(entries):
        (size,) = size_at(delivered, at)
        if size & 0x80000000:
            kind, count, _uncompressed, size = _SUB_BATCH.unpack_from(delivered, at)
            at += _SUB_BATCH.size
            messages += _sub_batch(kind >> 4 & 7, count, delivered[at : at + size])
        else:
            at += 4
            append(delivered[at : at + size])
        at += size
    return Chunk(first, timestamp / 1000, messages)


def _sub_batch(compression: int, count: int, packed: bytes) -> list[bytes]:
    if compression not in (0, 1):
        raise FaustRabbitMQError(
            f"a stream holds messages in compression {compression}; let their producer use none, or gzip"
        )
    unpacked = gzip.decompress(packed) if compression else packed
    messages: list[bytes] = []
    at = 0
    for _ in range(count):
        (size,) = _U32.unpack_from(unpacked, at)
        at += 4
        messages.append(unpacked[at : at + size])
        at += size
    return messages
