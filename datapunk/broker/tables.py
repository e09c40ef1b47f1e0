"""Field tables, the form of AMQP headers: fast for text, complete for the rest, safe to read from strangers.

The types of values are those RabbitMQ speaks, see https://www.rabbitmq.com/amqp-0-9-1-errata.html (§3).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from struct import Struct
from typing import Any, cast

from pamqp import encode as pamqp_encode

MOST_NESTED = 32  # tables and arrays inside of each other; a deeper header is an attack, not a message

_CACHED = 4096  # keys a cache may have; then it starts anew
_LONGEST_KEY = 255  # bytes

_uint32, _uint64, _int64, _double = Struct(">I"), Struct(">Q"), Struct(">q"), Struct(">d")
_scaled = Struct(">Bi")  # a decimal: how many digits are behind the point, and all digits
_LENGTH = [_uint32.pack(length) for length in range(1024)]

_string_keys: dict[str, bytes] = {}
_read_keys: dict[bytes, str] = {}


def encode_table(table: Mapping[str, Any]) -> bytes:
    """A field table, with its length in front.

    Raises:
        TypeError: if a value has no AMQP form.
    """
    parts: list[bytes] = [b""]
    add = parts.append
    for key, value in table.items():
        if type(value) is str:
            text = value.encode()
            length = len(text)
            add(_string_keys.get(key) or _string_key(key))
            add(_LENGTH[length] if length < 1024 else _uint32.pack(length))
            add(text)
        else:
            add((_string_keys.get(key) or _string_key(key))[:-1])
            add(_encode_value(value))
    body = b"".join(parts)
    return _uint32.pack(len(body)) + body


def _encode_value(value: Any) -> bytes:
    if type(value) is int:
        return b"l" + _int64.pack(value)  # always: a reader in a typed language relies on it; pamqp takes the shortest
    if isinstance(value, float):
        return b"d" + _double.pack(value)  # pamqp writes 32 bits, and loses the rest
    if isinstance(value, dict):
        return b"F" + encode_table(cast("dict[str, Any]", value))
    if isinstance(value, list):
        body = b"".join([_encode_value(item) for item in cast("list[Any]", value)])
        return b"A" + _uint32.pack(len(body)) + body
    if isinstance(value, Decimal):
        return b"D" + _scaled.pack(*_scale_and_mantissa(value))  # pamqp cuts off small ones
    if isinstance(value, bytes):  # text that wasn't UTF-8 when it was read; handed on as it came
        return b"S" + _uint32.pack(len(value)) + value
    return pamqp_encode.encode_table_value(value)


def _scale_and_mantissa(value: Decimal) -> tuple[int, int]:
    sign, digits, exponent = value.as_tuple()
    if not isinstance(exponent, int):
        raise ValueError(f"{value} has no AMQP form")
    mantissa = int("".join(map(str, digits))) * 10 ** min(max(exponent, 0), 10)
    return max(-exponent, 0), -mantissa if sign else mantissa


def _string_key(key: str) -> bytes:
    """A key followed by the tag of a string, as most values are."""
    name = key.encode()
    if len(name) > _LONGEST_KEY:
        raise ValueError(f"header {key[:40]!r}… has {len(name)} bytes; {_LONGEST_KEY} are the limit")
    encoded = bytes([len(name)]) + name + b"S"
    if len(_string_keys) >= _CACHED:
        _string_keys.clear()
    _string_keys[key] = encoded
    return encoded


def decode_table(data: bytes, at: int, limit: int, depth: int = 0) -> tuple[dict[str, Any], int]:
    """Read a field table.

    Args:
        data: holds it.
        at: where its length is.
        limit: where it must have ended.
        depth: how many tables and arrays it's in.

    Returns:
        The table, and where it ended.

    Raises:
        ValueError, IndexError, struct.error: if that isn't what the bytes are.
    """
    if depth > MOST_NESTED:
        raise ValueError(f"headers are nested more than {MOST_NESTED} deep")
    unpack = _uint32.unpack_from
    end = at + 4 + unpack(data, at)[0]
    if end > limit:
        raise ValueError("a table is longer than what holds it")
    at += 4
    table: dict[str, Any] = {}
    while at < end:
        start = at + 1
        at = start + data[at]
        raw = data[start:at]
        key = _read_keys.get(raw) or _read_key(raw)
        if data[at] == 0x53:  # S, a string
            start = at + 5
            at = start + unpack(data, at + 1)[0]
            try:
                table[key] = data[start:at].decode()
            except UnicodeDecodeError:
                table[key] = data[start:at]
        else:
            table[key], at = _read_value(data, at, end, depth)
    if at != end:
        raise ValueError("a table ends inside of a value")
    return table, end


def _read_key(raw: bytes) -> str:
    key = raw.decode()
    if len(_read_keys) >= _CACHED:
        _read_keys.clear()
    _read_keys[raw] = key
    return key


def _read_array(data: bytes, at: int, limit: int, depth: int) -> tuple[list[Any], int]:
    if depth > MOST_NESTED:
        raise ValueError(f"headers are nested more than {MOST_NESTED} deep")
    end = at + 4 + _uint32.unpack_from(data, at)[0]
    if end > limit:
        raise ValueError("an array is longer than what holds it")
    at += 4
    items: list[Any] = []
    while at < end:
        item, at = _read_value(data, at, end, depth)
        items.append(item)
    if at != end:
        raise ValueError("an array ends inside of a value")
    return items, end


def _read_value(data: bytes, at: int, limit: int, depth: int) -> tuple[Any, int]:
    """A value with its tag in front."""
    tag = data[at]
    at += 1
    fixed = _FIXED.get(tag)
    if fixed is not None:
        layout, convert = fixed
        values = layout.unpack_from(data, at)
        return convert(*values), at + layout.size
    if tag in b"Sx":
        start = at + 4
        end = start + _uint32.unpack_from(data, at)[0]
        if end > limit:
            raise ValueError("a string is longer than what holds it")
        if tag == 0x78:  # x, bytes
            return bytearray(data[start:end]), end
        try:
            return data[start:end].decode(), end
        except UnicodeDecodeError:
            return data[start:end], end
    if tag == 0x46:  # F
        return decode_table(data, at, limit, depth + 1)
    if tag == 0x41:  # A
        return _read_array(data, at, limit, depth + 1)
    if tag == 0x56:  # V, nothing
        return None, at
    raise ValueError(f"no type of header value is called {chr(tag)!r}")


def _as_is(value: Any) -> Any:
    return value


def _time(seconds: int) -> datetime | int:
    if seconds >= 2**63:
        raise ValueError("a time has more than 63 bits")
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, ValueError, OSError):
        return seconds  # beyond the year 9999: not a time, but no reason to lose it


def _decimal(scale: int, mantissa: int) -> Decimal:
    return Decimal(mantissa).scaleb(-scale)


_FIXED: dict[int, tuple[Struct, Callable[..., Any]]] = {
    ord("t"): (Struct(">B"), bool),
    ord("b"): (Struct(">b"), _as_is),
    ord("B"): (Struct(">B"), _as_is),
    ord("s"): (Struct(">h"), _as_is),
    ord("u"): (Struct(">H"), _as_is),
    ord("I"): (Struct(">i"), _as_is),
    ord("i"): (Struct(">I"), _as_is),
    ord("l"): (Struct(">q"), _as_is),
    ord("L"): (Struct(">q"), _as_is),
    ord("f"): (Struct(">f"), _as_is),
    ord("d"): (Struct(">d"), _as_is),
    ord("T"): (_uint64, _time),
    ord("D"): (_scaled, _decimal),
}
