"""How single values change between Python and Avro's primitives; what compiled codecs call.

Each function raises ValueError (or a subclass) for a value that the type can't carry.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, cast
from uuid import UUID

from msgspec import to_builtins

INT = (-(2**31), 2**31 - 1)
LONG = (-(2**63), 2**63 - 1)
SINGLE = struct.Struct("<f")
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LOCAL_EPOCH = datetime(1970, 1, 1)  # local timestamps have no zone
MILLISECOND, MICROSECOND = timedelta(milliseconds=1), timedelta(microseconds=1)
DAY_0 = date(1970, 1, 1).toordinal()


def to_int(value: Any) -> int:
    """An `int`, in 32 bits."""
    if type(value) is int and INT[0] <= value <= INT[1]:
        return value
    raise ValueError(f"{value!r} is not an int of 32 bits")


def to_long(value: Any) -> int:
    """A `long`, in 64 bits."""
    if type(value) is int and LONG[0] <= value <= LONG[1]:
        return value
    raise ValueError(f"{value!r} is not a long of 64 bits")


def to_double(value: Any) -> float:
    """A finite `double`: JSON has neither NaN nor infinities."""
    if isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value):
        return float(value)
    raise ValueError(f"{value!r} is not a finite number")


def to_float(value: Any) -> float:
    """A finite `float`: the nearest number in single precision, which is what binary has of it."""
    try:
        return SINGLE.unpack(SINGLE.pack(to_double(value)))[0]
    except OverflowError:
        raise ValueError(f"{value!r} is too large for a float") from None


def to_string(value: Any) -> str:
    """A `string` without NUL, which Postgres' text can't hold."""
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is not a string")
    if "\0" in value:
        raise ValueError("a string has a NUL character, which can't be stored")
    return value


def to_boolean(value: Any) -> bool:
    """A `boolean`."""
    if isinstance(value, bool):
        return value
    raise ValueError(f"{value!r} is not a boolean")


def bytes_to_text(value: Any) -> str:
    """Bytes as Avro JSON has them: a character for each byte (ISO 8859-1)."""
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(cast("bytes", value)).decode("latin-1")
    raise ValueError(f"{value!r} is not bytes")


def text_to_bytes(text: str) -> bytes:
    """The reverse."""
    return text.encode("latin-1")


def fixed_to_text(value: Any, size: int) -> str:
    """As `bytes_to_text`, of exactly `size` bytes."""
    text = bytes_to_text(value)
    if len(text) != size:
        raise ValueError(f"{len(text)} bytes where the type has {size}")
    return text


def text_to_fixed(text: str, size: int) -> bytes:
    """The reverse."""
    if len(text) != size:
        raise ValueError(f"{len(text)} bytes where the type has {size}")
    return text.encode("latin-1")


def decimal_to_bytes(value: Any, precision: int, scale: int, size: int | None) -> bytes:
    """A decimal's unscaled value in two's complement, big-endian; as short as possible, or of `size` bytes."""
    if not isinstance(value, Decimal) or not value.is_finite():
        raise ValueError(f"{value!r} is not a finite Decimal")
    sign, digits, exponent = value.as_tuple()
    assert isinstance(exponent, int)  # it's finite
    shift = exponent + scale
    if not value:
        unscaled = 0
    elif value.adjusted() >= precision - scale:  # before anything is computed: 1E+999999999 is a decimal, too
        raise ValueError(f"a decimal has more than {precision} digits")
    elif shift < 0:
        if -shift >= len(digits) or any(digits[shift:]):
            raise ValueError(f"a decimal has more than {scale} digits after the point")
        unscaled = int("".join(map(str, digits[:shift])))
    else:
        unscaled = int("".join(map(str, digits))) * 10**shift
    if sign:
        unscaled = -unscaled
    length = size or (unscaled + (unscaled < 0)).bit_length() // 8 + 1
    return unscaled.to_bytes(length, "big", signed=True)


def bytes_to_decimal(data: bytes, precision: int, scale: int) -> Decimal:
    """The reverse."""
    unscaled = int.from_bytes(data, "big", signed=True)
    if abs(unscaled) >= 10**precision:
        raise ValueError(f"a decimal has more than {precision} digits")
    return Decimal((int(unscaled < 0), tuple(map(int, str(abs(unscaled)))), -scale))


def to_days(value: Any) -> int:
    """A date as days since 1970-01-01."""
    if isinstance(value, date) and not isinstance(value, datetime):
        return value.toordinal() - DAY_0
    raise ValueError(f"{value!r} is not a date")


def from_days(days: int) -> date:
    """The reverse."""
    return date.fromordinal(days + DAY_0)


def to_time(value: Any, unit: timedelta) -> int:
    """A time of day as a number of units since midnight."""
    if not isinstance(value, time) or value.tzinfo is not None:
        raise ValueError(f"{value!r} is not a time without a zone")
    return (
        timedelta(hours=value.hour, minutes=value.minute, seconds=value.second, microseconds=value.microsecond) // unit
    )


def from_time(number: int, unit: timedelta) -> time:
    """The reverse."""
    if not 0 <= number < timedelta(days=1) // unit:
        raise ValueError(f"{number} is not a time of day")
    return (LOCAL_EPOCH + number * unit).time()


def to_timestamp(value: Any, unit: timedelta) -> int:
    """An instant as a number of units since 1970-01-01 UTC."""
    if isinstance(value, datetime) and value.tzinfo is not None:
        return (value - EPOCH) // unit
    raise ValueError(f"{value!r} is not a datetime with a time zone")


def from_timestamp(number: int, unit: timedelta) -> datetime:
    """The reverse, in UTC."""
    return EPOCH + number * unit


def to_local_timestamp(value: Any, unit: timedelta) -> int:
    """A local timestamp as a number of units since 1970-01-01, whatever the zone."""
    if isinstance(value, datetime) and value.tzinfo is None:
        return (value - LOCAL_EPOCH) // unit
    raise ValueError(f"{value!r} is not a datetime without a time zone")


def from_local_timestamp(number: int, unit: timedelta) -> datetime:
    """The reverse."""
    return LOCAL_EPOCH + number * unit


def to_uuid(value: Any) -> UUID:
    """A UUID."""
    if isinstance(value, UUID):
        return value
    raise ValueError(f"{value!r} is not a UUID")


def uuid_text(value: Any) -> str:
    """A UUID as text."""
    return to_builtins(value) if type(value) is UUID else str(to_uuid(value))  # the former is four times as fast


def uuid_bytes(value: Any) -> bytes:
    """A UUID as its 16 bytes."""
    return to_uuid(value).bytes


def uuid_from_bytes(data: bytes) -> UUID:
    """The reverse."""
    return UUID(bytes=data)


def from_wire(value: Any, kind: str, attributes: Mapping[str, Any]) -> Any:
    """The Python value of a logical type, from Avro JSON; other types' values as they are.

    Args:
        value: of the primitive type under it, checked.
        kind: that type.
        attributes: of the schema: its `logicalType`, `precision`, `scale`.
    """
    logical = attributes.get("logicalType")
    unit = MILLISECOND if str(logical).endswith("millis") else MICROSECOND
    match logical:
        case "uuid":
            return UUID(value) if kind == "string" else UUID(bytes=text_to_bytes(value))
        case "decimal":
            return bytes_to_decimal(text_to_bytes(value), attributes["precision"], attributes["scale"])
        case "date":
            return from_days(value)
        case "time-millis" | "time-micros":
            return from_time(value, unit)
        case "timestamp-millis" | "timestamp-micros":
            return from_timestamp(value, unit)
        case "local-timestamp-millis" | "local-timestamp-micros":
            return from_local_timestamp(value, unit)
        case _:
            return value


def to_null(value: Any) -> None:
    """Nothing."""
    if value is not None:
        raise ValueError(f"{value!r} is not null")


def to_bytes(value: Any) -> bytes:
    """Bytes."""
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(cast("bytes", value))
    raise ValueError(f"{value!r} is not bytes")


def to_fixed(value: Any, size: int) -> bytes:
    """Exactly `size` bytes."""
    data = to_bytes(value)
    if len(data) != size:
        raise ValueError(f"{len(data)} bytes where the type has {size}")
    return data
