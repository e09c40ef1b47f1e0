"""What operators remember: values by window and key."""

from __future__ import annotations

import struct
from collections.abc import Iterator, MutableMapping
from typing import Any, Protocol

import msgspec

Key = tuple[Any, ...]

_WINDOW = struct.Struct(">Q")
_BIAS = 1 << 63  # so that bytes sort as signed numbers do

encoded = msgspec.msgpack.encode  # as keys are ordered, whatever types they are of


class State(Protocol):
    """Values by window and key. A window is a number: its end in µs, or 0 where there are no windows."""

    def get(self, window: int, key: Key) -> Any | None:
        """A value, or none."""
        ...

    def set(self, window: int, key: Key, value: Any) -> None:
        """Keep a value in place of the one before."""
        ...

    def delete(self, window: int, key: Key) -> None:
        """Forget a value, if there is one."""
        ...

    def scan(self, before: int | None = None) -> Iterator[tuple[int, Key, Any]]:
        """All values of windows smaller than `before`, window by window."""
        ...


class MappingState:
    """State in a mapping of bytes to bytes: a dict, or a table of Faust.

    Keys and values are MessagePack, so a value comes back as plain lists, dicts, numbers, texts, bytes and times.

    Args:
        mapping: where it is.
        prefix: parts this state from others in the same mapping.
    """

    def __init__(self, mapping: MutableMapping[bytes, bytes], prefix: bytes = b"") -> None:
        self._mapping = mapping
        self._prefix = prefix

    def get(self, window: int, key: Key) -> Any | None:
        """A value, or none."""
        found = self._mapping.get(self._place(window, key))
        return None if found is None else msgspec.msgpack.decode(found)

    def set(self, window: int, key: Key, value: Any) -> None:
        """Keep a value in place of the one before."""
        self._mapping[self._place(window, key)] = encoded(value)

    def delete(self, window: int, key: Key) -> None:
        """Forget a value, if there is one."""
        self._mapping.pop(self._place(window, key), None)

    def scan(self, before: int | None = None) -> Iterator[tuple[int, Key, Any]]:
        """All values of windows smaller than `before`, window by window."""
        start = len(self._prefix)
        for place in sorted(place for place in self._mapping if place.startswith(self._prefix)):
            window = _WINDOW.unpack_from(place, start)[0] - _BIAS
            if before is not None and window >= before:
                return
            key = msgspec.msgpack.decode(place[start + _WINDOW.size :], type=Key)
            yield window, key, msgspec.msgpack.decode(self._mapping[place])

    def _place(self, window: int, key: Key) -> bytes:
        return self._prefix + _WINDOW.pack(window + _BIAS) + encoded(key)
