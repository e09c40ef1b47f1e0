"""As many connections to a broker as its streams need, opened when they're needed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from faust_rabbitmq.stream.connection import Connection, Place

__all__ = ["Connections"]


class Connections:
    """Hands out a connection with room, opening one if there is none.

    Args:
        place: the broker.
        name: how the connections are called in the broker's management.
        lost: called with each that is lost.
    """

    def __init__(self, place: Place, name: str, lost: Callable[[Connection], None] | None = None) -> None:
        self._place, self._name, self._tell = place, name, lost
        self._open: list[Connection] = []
        self._opening = asyncio.Lock()

    async def get(self) -> Connection:
        """One that works and has room.

        Raises:
            ConnectionLost: the broker isn't there.
            RefusedByBroker: it doesn't let us in.
        """
        async with self._opening:
            for connection in self._open:
                if not connection.is_full and not connection.lost.done():
                    return connection
            connection = await Connection.open(self._place, self._name)
            self._open.append(connection)
            connection.lost.add_done_callback(lambda _: self._on_lost(connection))
            return connection

    async def close(self) -> None:
        """Close them all."""
        await asyncio.gather(*(connection.close() for connection in self._open))

    def _on_lost(self, connection: Connection) -> None:
        self._open.remove(connection)
        if self._tell is not None:
            self._tell(connection)
