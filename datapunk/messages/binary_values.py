"""Avro's binary encoding of single values; what compiled codecs call (Avro 1.12, "Binary Encoding").

Compiled code reads and writes what is common by itself and comes here for the rest: long numbers and refusals.
"""

from __future__ import annotations

import struct
from typing import NoReturn

_INT, _LONG = 1 << 32, 1 << 64

unpack_f, pack_f = struct.Struct("<f").unpack_from, struct.Struct("<f").pack
unpack_d, pack_d = struct.Struct("<d").unpack_from, struct.Struct("<d").pack


def long_bytes(number: int) -> bytes:
    """A number of at most 64 bits as zig-zag, seven bits a byte."""
    if -64 <= number < 64:
        return _SHORT[number]
    rest = (number << 1) ^ (number >> 63)
    made = bytearray()
    while rest > 127:
        made.append(rest & 127 | 128)
        rest >>= 7
    made.append(rest)
    return bytes(made)


def long_tail(body: bytes, position: int, first: int) -> tuple[int, int]:
    """A number whose first byte says that more follow: as zig-zag, and where it ends.

    Raises:
        ValueError: if it has more than 64 bits.
        IndexError: if the body ends before.
    """
    number, shift = first & 127, 7
    while True:
        byte = body[position]
        position += 1
        number |= (byte & 127) << shift
        if byte < 128:
            break
        shift += 7
        if shift > 63:
            raise ValueError("a number has more than 64 bits")
    if number >= _LONG:
        raise ValueError("a number has more than 64 bits")
    return number, position


def int_tail(body: bytes, position: int, first: int) -> tuple[int, int]:
    """As `long_tail`, of 32 bits."""
    number, position = long_tail(body, position, first)
    if number >= _INT:
        raise ValueError("an int has more than 32 bits")
    return number, position


def count_block(body: bytes, position: int) -> tuple[int, int]:
    """How many items the next block of an array or map has, and where they start.

    Raises:
        ValueError: if it claims more than there are bytes left; each item takes at least one.
    """
    first = body[position]
    position += 1
    if first > 127:
        first, position = long_tail(body, position, first)
    count = (first >> 1) ^ -(first & 1)
    if count < 0:  # then comes the block's size in bytes, for those who skip it
        count = -count
        first = body[position]
        position += 1
        if first > 127:
            first, position = long_tail(body, position, first)
    if count > len(body) - position:
        raise ValueError(f"{count} items are announced, and {max(len(body) - position, 0)} bytes are left")
    return count, position


def refuse_length(number: int) -> NoReturn:
    """A length is negative, or goes beyond the end."""
    if number & 1:
        raise ValueError("a length is negative")
    raise EOFError


def refuse_end() -> NoReturn:
    """The body ends too early."""
    raise EOFError


def refuse_nul() -> NoReturn:
    """A string can't be stored."""
    raise ValueError("a string has a NUL character, which can't be stored")


def refuse_real(number: float) -> NoReturn:
    """NaN and infinities have no place in JSON."""
    raise ValueError(f"{number!r} is not a finite number")


def refuse_boolean(byte: int) -> NoReturn:
    """A boolean is 0 or 1."""
    raise ValueError(f"{byte} is not a boolean")


def refuse_branch(number: int) -> NoReturn:
    """A union hasn't so many branches."""
    raise ValueError(f"the union has no branch {(number >> 1) ^ -(number & 1)}")


def refuse_symbol(number: int) -> NoReturn:
    """An enum hasn't so many symbols."""
    raise ValueError(f"the enum has no symbol {(number >> 1) ^ -(number & 1)}")


def refuse_depth() -> NoReturn:
    """A record is within itself too often."""
    raise ValueError(f"nested too deeply: records of records, more than {MAX_NESTING} deep")


# Of records within records, where a schema is recursive: what one process takes, every other must take.
MAX_NESTING = 64

_SHORT = [bytes([number << 1]) for number in range(64)] + [bytes([(-number << 1) - 1]) for number in range(-64, 0)]

# Of lengths, which are written most often.
MOST_LENGTHS = 1024
LENGTHS = [long_bytes(number) for number in range(MOST_LENGTHS)]
