"""AMQP 0-9-1 message properties: fast to write and read, and safe to read from strangers."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from struct import Struct
from struct import error as struct_error
from typing import Any

from datapunk.broker.tables import decode_table, encode_table
from datapunk.errors import InvalidEnvelope, UnencodableMessage

PERSISTENT = 2  # delivery_mode

_CACHED = 4096  # entries a cache may have; then it starts anew
_LONGEST_SHORT = 255  # bytes of a "shortstr"

_uint16, _uint64 = Struct(">H"), Struct(">Q")

_LENGTH = [bytes([length]) for length in range(_LONGEST_SHORT + 1)]

_short_strings: dict[str, bytes] = {}


class Properties:
    """What AMQP says about a message besides its body; None where it says nothing.

    Attributes:
        headers: the rest, by name. Values: str, bytes (text that isn't UTF-8, when read), int, float, bool,
            None, datetime, Decimal, bytearray, list and dict.
        timestamp: in UTC, to the second; a naive one is taken as UTC.
        expiration: milliseconds, as decimal text.
        user_id: the broker refuses a publish whose `user_id` isn't the name it was logged in with.
    """

    __slots__ = (
        "app_id",
        "cluster_id",
        "content_encoding",
        "content_type",
        "correlation_id",
        "delivery_mode",
        "expiration",
        "headers",
        "message_id",
        "priority",
        "reply_to",
        "timestamp",
        "type",
        "user_id",
    )

    def __init__(
        self,
        *,
        content_type: str | None = None,
        content_encoding: str | None = None,
        headers: Mapping[str, Any] | None = None,
        delivery_mode: int | None = None,
        priority: int | None = None,
        correlation_id: str | None = None,
        reply_to: str | None = None,
        expiration: str | None = None,
        message_id: str | None = None,
        timestamp: datetime | None = None,
        type: str | None = None,
        user_id: str | None = None,
        app_id: str | None = None,
        cluster_id: str | None = None,
    ) -> None:
        self.content_type = content_type
        self.content_encoding = content_encoding
        self.headers = headers
        self.delivery_mode = delivery_mode
        self.priority = priority
        self.correlation_id = correlation_id
        self.reply_to = reply_to
        self.expiration = expiration
        self.message_id = message_id
        self.timestamp = timestamp
        self.type = type
        self.user_id = user_id
        self.app_id = app_id
        self.cluster_id = cluster_id

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Properties):
            return NotImplemented
        return all(getattr(self, name) == getattr(other, name) for name in self.__slots__)

    __hash__ = None  # type: ignore[assignment]  # mutable

    def __repr__(self) -> str:
        given = ((name, getattr(self, name)) for name in self.__slots__)
        return f"Properties({', '.join(f'{name}={value!r}' for name, value in given if value is not None)})"


def encode_properties(properties: Properties) -> bytes:
    """The property flags and the property list of a content header.

    Raises:
        UnencodableMessage: if a value has no AMQP form, or a short string more than 255 bytes.
    """
    flags = 0
    parts: list[bytes] = [b""]
    add = parts.append
    try:
        if (text := properties.content_type) is not None:
            flags |= 0x8000
            add(_short_strings.get(text) or _cached_short(text))
        if (text := properties.content_encoding) is not None:
            flags |= 0x4000
            add(_short_strings.get(text) or _cached_short(text))
        if (headers := properties.headers) is not None:
            flags |= 0x2000
            add(encode_table(headers))
        if (number := properties.delivery_mode) is not None:
            flags |= 0x1000
            add(_LENGTH[number])
        if (number := properties.priority) is not None:
            flags |= 0x0800
            add(_LENGTH[number])
        if (text := properties.correlation_id) is not None:
            flags |= 0x0400
            add(_short(text))
        if (text := properties.reply_to) is not None:
            flags |= 0x0200
            add(_short(text))
        if (text := properties.expiration) is not None:
            flags |= 0x0100
            add(_short(text))
        if (text := properties.message_id) is not None:
            flags |= 0x0080
            add(_short(text))
        if (timestamp := properties.timestamp) is not None:
            flags |= 0x0040
            add(_seconds(timestamp))
        if (text := properties.type) is not None:
            flags |= 0x0020
            add(_short_strings.get(text) or _cached_short(text))
        if (text := properties.user_id) is not None:
            flags |= 0x0010
            add(_short_strings.get(text) or _cached_short(text))
        if (text := properties.app_id) is not None:
            flags |= 0x0008
            add(_short_strings.get(text) or _cached_short(text))
        if (text := properties.cluster_id) is not None:
            flags |= 0x0004
            add(_short_strings.get(text) or _cached_short(text))
    except (struct_error, IndexError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise UnencodableMessage(f"a property or header has no AMQP form: {error}") from None
    parts[0] = _uint16.pack(flags)
    return b"".join(parts)


@lru_cache(maxsize=16)
def _seconds(time: datetime) -> bytes:
    """A time; a whole batch has one, so that it's kept for a while."""
    return _uint64.pack(int((time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()))


def _short(text: str) -> bytes:
    encoded = text.encode()
    if len(encoded) > _LONGEST_SHORT:
        raise ValueError(f"{text[:40]!r}… has {len(encoded)} bytes; {_LONGEST_SHORT} are the limit")
    return _LENGTH[len(encoded)] + encoded


def _cached_short(text: str) -> bytes:
    encoded = _short(text)
    if len(_short_strings) >= _CACHED:
        _short_strings.clear()
    _short_strings[text] = encoded
    return encoded


def decode_properties(data: bytes, at: int = 0) -> Properties:
    """Read the property flags and the property list of a content header.

    Args:
        data: a buffer that ends where the property list ends.
        at: where the flags are.

    Raises:
        InvalidEnvelope: if that isn't what the bytes are, a property isn't UTF-8, the timestamp is beyond the
            year 9999, or headers are nested too deep.
    """
    properties = Properties()
    try:
        flags = _uint16.unpack_from(data, at)[0]
        at += 2
        if flags & 0x8000:
            properties.content_type, at = _read_short(data, at)
        if flags & 0x4000:
            properties.content_encoding, at = _read_short(data, at)
        if flags & 0x2000:
            properties.headers, at = decode_table(data, at, len(data), 0)
        if flags & 0x1000:
            properties.delivery_mode = data[at]
            at += 1
        if flags & 0x0800:
            properties.priority = data[at]
            at += 1
        if flags & 0x0400:
            properties.correlation_id, at = _read_short(data, at)
        if flags & 0x0200:
            properties.reply_to, at = _read_short(data, at)
        if flags & 0x0100:
            properties.expiration, at = _read_short(data, at)
        if flags & 0x0080:
            properties.message_id, at = _read_short(data, at)
        if flags & 0x0040:
            properties.timestamp = datetime.fromtimestamp(_uint64.unpack_from(data, at)[0], UTC)
            at += 8
        if flags & 0x0020:
            properties.type, at = _read_short(data, at)
        if flags & 0x0010:
            properties.user_id, at = _read_short(data, at)
        if flags & 0x0008:
            properties.app_id, at = _read_short(data, at)
        if flags & 0x0004:
            properties.cluster_id, at = _read_short(data, at)
    except (struct_error, IndexError, ValueError, OverflowError, OSError) as error:
        raise InvalidEnvelope(f"the message's properties can't be read: {error}") from None
    if at != len(data):
        raise InvalidEnvelope("the message's properties are cut off, or more than their flags announce")
    return properties


def _read_short(data: bytes, at: int) -> tuple[str, int]:
    start = at + 1
    end = start + data[at]
    return data[start:end].decode(), end
