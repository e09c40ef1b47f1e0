"""An actor's state as bytes, for snapshots.

MessagePack of the declared state attributes, with a version made of their names, their types and the class's
`state_version`: a snapshot whose version differs is ignored and the actor is rebuilt from its events, so a
snapshot can always be thrown away and never has to be migrated.
"""

from __future__ import annotations

import zlib
from functools import cache
from typing import Any

import msgspec

from datapunk.actor import Actor


class StateCodec:
    """Writes and reads the state of one actor class."""

    def __init__(self, actor: type[Actor]) -> None:
        fields = actor.state_fields
        described = repr([actor.state_version, *((name, str(hint)) for name, hint in sorted(fields.items()))])
        self.version = zlib.crc32(described.encode()) & 0x7FFFFFFF  # fits Postgres' int
        self._names = tuple(fields)
        self._state: type[Any] = msgspec.defstruct(
            f"{actor.__name__}State", [(name, hint) for name, hint in fields.items()], array_like=True
        )
        self._decoder: msgspec.msgpack.Decoder[Any] = msgspec.msgpack.Decoder(self._state)

    def encode(self, actor: Actor) -> bytes:
        """The actor's state attributes."""
        return msgspec.msgpack.encode(self._state(*(getattr(actor, name) for name in self._names)))

    def restore(self, actor: Actor, state: bytes, version: int) -> None:
        """Set a new instance's state to a snapshot taken at `version`.

        Raises:
            msgspec.DecodeError: if the bytes don't fit; callers then rebuild from events.
        """
        restored = self._decoder.decode(state)
        for name in self._names:
            setattr(actor, name, getattr(restored, name))
        actor.version = version


@cache
def state_codec(actor: type[Actor]) -> StateCodec:
    """The codec of an actor class, made once."""
    return StateCodec(actor)
