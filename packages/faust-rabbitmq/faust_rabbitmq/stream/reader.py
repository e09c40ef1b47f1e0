"""Reading one stream from any offset, no faster than what was read is taken."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from contextlib import suppress

from faust_rabbitmq.errors import ConnectionLost, RefusedByBroker
from faust_rabbitmq.stream.connections import Connections
from faust_rabbitmq.stream.frames import Chunk, Offset, parse_chunk

__all__ = ["Reader", "chunk_at"]

logger = logging.getLogger(__name__)

_CHUNKS_AHEAD = 4  # delivered before any is taken: one is up to some thousands of messages
_RETRY_S = 0.5
_ANSWER_WITHIN_S = 30.0

Taken = tuple[int, float, bytes]
"""An offset, when it was stored, and the message."""


class Reader:
    """One stream. It begins to read when first asked for messages, and begins anew where it was when cut off.

    Args:
        connections: of the broker.
        stream: the stream's name.
        arrived: set whenever something has come in.
    """

    def __init__(self, connections: Connections, stream: str, arrived: asyncio.Event) -> None:
        self.stream = stream
        self.position = 0
        """The offset of what is taken next, or of something before it."""
        self.end = 0
        """After the last that has come in."""
        self._connections, self._arrived = connections, arrived
        self._chunks: deque[Chunk] = deque()
        self._incoming = 0  # the offset after all chunks that are here
        self._reading: asyncio.Task[None] | None = None
        self._subscription = 0
        self._allow: Callable[[], None] | None = None

    def seek(self, offset: int) -> None:
        """Go on from this offset."""
        if offset == self.position and self._reading is not None:
            return
        self._cancel()
        self.position = offset

    def take(self, at_most: int) -> list[Taken]:
        """What is there, in order."""
        if self._reading is None:
            self._chunks.clear()
            self._incoming = self.position
            self._reading = asyncio.create_task(self._read(), name=f"reader of {self.stream}")
            return []
        taken: list[Taken] = []
        while self._chunks and len(taken) < at_most:
            chunk = self._chunks[0]
            begin = max(0, self.position - chunk.first_offset)
            messages = chunk.messages[begin : begin + at_most - len(taken)]
            first = chunk.first_offset + begin
            timestamp = chunk.timestamp
            taken += [(offset, timestamp, message) for offset, message in enumerate(messages, first)]
            self.position = first + len(messages)
            if self.position >= chunk.first_offset + len(chunk.messages):
                self._chunks.popleft()
                self._allow_another()
        return taken

    @property
    def has_some(self) -> bool:
        """Whether there is anything to take."""
        return bool(self._chunks)

    async def stop(self) -> None:
        """Read no more."""
        reading = self._reading
        self._cancel()
        if reading is not None:
            with suppress(asyncio.CancelledError):
                await reading

    def _cancel(self) -> None:
        if self._reading is not None:
            self._reading.cancel()
            self._reading = None
        self._chunks.clear()
        self._subscription += 1  # what is on its way is of an earlier one

    def _allow_another(self) -> None:
        if self._allow is not None:
            self._allow()

    async def _read(self) -> None:
        while True:
            try:
                await self._read_until_cut_off()
            except (ConnectionLost, RefusedByBroker) as error:
                logger.warning("Can't read %s, trying again: %s", self.stream, error)
            await asyncio.sleep(_RETRY_S)

    async def _read_until_cut_off(self) -> None:
        connection = await self._connections.get()
        self._subscription += 1
        mine = self._subscription

        def deliver(delivered: bytes) -> None:
            if mine != self._subscription:
                return
            chunk = parse_chunk(delivered)
            self.end = self._incoming = chunk.first_offset + len(chunk.messages)
            self._chunks.append(chunk)
            self._arrived.set()

        id: int | None = None

        owed = 0  # chunks that were taken before we learnt the subscription's number

        def allow() -> None:
            nonlocal owed
            if id is None:
                owed += 1
            elif mine == self._subscription:
                connection.grant(id, 1)

        self._allow = allow
        id = await connection.subscribe(self.stream, Offset.of(self._incoming), _CHUNKS_AHEAD, deliver)
        if owed:
            connection.grant(id, owed)
        try:
            await asyncio.shield(connection.lost)
        except asyncio.CancelledError:
            unsubscribing = asyncio.ensure_future(connection.unsubscribe(id))
            await asyncio.shield(unsubscribing)
            raise


async def chunk_at(connections: Connections, stream: str, offset: Offset) -> Chunk:
    """One chunk of a stream that has at least one.

    Raises:
        ConnectionLost: the broker is away.
        RefusedByBroker: there is no such stream.
    """
    connection = await connections.get()
    got: asyncio.Future[Chunk] = asyncio.get_running_loop().create_future()

    def deliver(delivered: bytes) -> None:
        if not got.done():
            got.set_result(parse_chunk(delivered))

    id = await connection.subscribe(stream, offset, 1, deliver)
    try:
        await asyncio.wait([got, connection.lost], timeout=_ANSWER_WITHIN_S, return_when=asyncio.FIRST_COMPLETED)
        if not got.done():
            raise ConnectionLost(f"nothing came of the stream {stream}; it should hold a marker at least")
        return got.result()
    finally:
        await connection.unsubscribe(id)
