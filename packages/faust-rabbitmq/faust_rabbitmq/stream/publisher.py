"""Writing to streams: batched, confirmed, and once each though a connection is lost on the way.

Every message has a publishing id. After a lost connection all that wasn't confirmed is sent again under its old id,
and the broker drops what it has stored already.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from uuid import uuid4

from faust_rabbitmq.errors import ConnectionLost, RefusedByBroker
from faust_rabbitmq.stream.connection import Connection, Place
from faust_rabbitmq.stream.connections import Connections
from faust_rabbitmq.stream.frames import publish

__all__ = ["Publisher", "Sent"]

logger = logging.getLogger(__name__)

Sent = Callable[[BaseException | None], None]
_RETRY_S = 0.5
_MOST_IN_A_FRAME = 1000
_LINGER_S = 0.005
_ROOM_FOR_FRAME = 1024  # bytes of a frame that aren't messages, amply
_MARKER_REFERENCE = "faust-marker"


class _Line:
    """What is to be written to one stream, in order."""

    def __init__(self, stream: str) -> None:
        self.stream = stream
        self.next_id = 1
        self.waiting: deque[tuple[int, bytes, Sent]] = deque()
        self.unconfirmed: dict[int, tuple[bytes, Sent]] = {}
        self.publisher: int | None = None
        self.connection: Connection | None = None


class Publisher:
    """Writes to any number of streams over as few connections as the protocol allows.

    Args:
        place: the broker.
        name: how the connections are called in the broker's management.
    """

    def __init__(self, place: Place, name: str) -> None:
        self.connections = Connections(place, name, self._on_lost)
        self._reference = f"faust-{uuid4().hex}"
        self._lines: dict[str, _Line] = {}
        self._connecting: dict[str, asyncio.Task[None]] = {}
        self._dirty: set[str] = set()
        self._write_is_due = False
        self._wrote_at = 0.0
        self._idle = asyncio.Event()
        self._idle.set()
        self._unfinished = 0
        self._is_closed = False

    def send(self, stream: str, message: bytes, sent: Sent) -> None:
        """Write soon; `sent` is called once it's stored (with None), or when it never will be (with why)."""
        if self._is_closed:
            raise ConnectionLost("the producer is closed")
        line = self._lines.get(stream)
        if line is None:
            line = self._lines[stream] = _Line(stream)
        line.waiting.append((line.next_id, message, sent))
        line.next_id += 1
        self._unfinished += 1
        self._idle.clear()
        self._dirty.add(stream)
        if not self._write_is_due:
            self._write_is_due = True
            loop = asyncio.get_running_loop()
            # The first after a pause goes at once; under load a batch waits for more: a write costs as much as ten.
            loop.call_at(max(loop.time(), self._wrote_at + _LINGER_S), self._write_all)

    @property
    def unfinished(self) -> int:
        """How many messages aren't known to be stored."""
        return self._unfinished

    async def flush(self) -> None:
        """Wait until all that was sent is stored, or has failed."""
        await self._idle.wait()

    async def close(self) -> None:
        """Send no more; what isn't confirmed fails."""
        self._is_closed = True
        for task in self._connecting.values():
            task.cancel()
        for line in self._lines.values():
            for _, sent in line.unconfirmed.values():
                sent(ConnectionLost("the producer was closed before the broker confirmed"))
            for _, _, sent in line.waiting:
                sent(ConnectionLost("the producer was closed before it was sent"))
            line.unconfirmed.clear()
            line.waiting.clear()
        self._unfinished = 0
        self._idle.set()
        await self.connections.close()

    async def mark(self, stream: str, marker: bytes) -> None:
        """Begin a stream with this message, unless somebody has."""
        connection = await self.connections.get()
        if await connection.published(_MARKER_REFERENCE, stream):
            return
        stored = asyncio.get_running_loop().create_future()

        def confirmed(_: Sequence[int]) -> None:
            if not stored.done():
                stored.set_result(None)

        def refused(_: int, code: int) -> None:
            if not stored.done():
                stored.set_exception(RefusedByBroker("PUBLISH", code))

        publisher = await connection.declare_publisher(_MARKER_REFERENCE, stream, confirmed, refused)
        try:
            connection.write(publish(publisher, [(1, marker)]))
            await asyncio.wait([stored, connection.lost], return_when=asyncio.FIRST_COMPLETED)
            if not stored.done():
                raise ConnectionLost("the connection was lost while a stream was begun")
            stored.result()
        finally:
            await connection.delete_publisher(publisher)

    def _write_all(self) -> None:
        self._write_is_due = False
        self._wrote_at = asyncio.get_running_loop().time()
        dirty, self._dirty = self._dirty, set()
        for stream in dirty:
            line = self._lines[stream]
            if line.connection is None:
                self._connect(line)
            else:
                self._write(line, line.connection)

    def _write(self, line: _Line, connection: Connection) -> None:
        assert line.publisher is not None
        room = connection.frame_max - _ROOM_FOR_FRAME if connection.frame_max else 1 << 20
        while line.waiting:
            batch: list[tuple[int, bytes]] = []
            size = 0
            while line.waiting and len(batch) < _MOST_IN_A_FRAME:
                id, message, sent = line.waiting[0]
                size += 12 + len(message)
                if batch and size > room:
                    break
                line.waiting.popleft()
                if size > room:
                    self._finish(sent, ValueError(f"a message has {len(message):,} bytes, a frame at most {room:,}"))
                    continue
                line.unconfirmed[id] = message, sent
                batch.append((id, message))
            if batch:
                connection.write(publish(line.publisher, batch))

    def _connect(self, line: _Line) -> None:
        if line.stream not in self._connecting and not self._is_closed:
            task = asyncio.create_task(self._keep_connected(line), name=f"publisher of {line.stream}")
            self._connecting[line.stream] = task

    async def _keep_connected(self, line: _Line) -> None:
        try:
            while True:
                try:
                    await self._declare(line)
                    break
                except ConnectionLost as error:
                    logger.warning("Can't write to %s, trying again: %s", line.stream, error)
                    await asyncio.sleep(_RETRY_S)
                except RefusedByBroker as error:
                    if error.code == 6:  # for the moment
                        await asyncio.sleep(_RETRY_S)
                        continue
                    self._fail(line, error)
                    return
        finally:
            self._connecting.pop(line.stream, None)

    async def _declare(self, line: _Line) -> None:
        connection = await self.connections.get()

        def confirmed(ids: Sequence[int]) -> None:
            for id in ids:
                kept = line.unconfirmed.pop(id, None)
                if kept is not None:
                    self._finish(kept[1], None)

        def refused(id: int, code: int) -> None:
            kept = line.unconfirmed.pop(id, None)
            if kept is not None:
                self._finish(kept[1], RefusedByBroker("PUBLISH", code))

        publisher = await connection.declare_publisher(self._reference, line.stream, confirmed, refused)
        if line.unconfirmed:
            stored = await connection.published(self._reference, line.stream)
            confirmed([id for id in line.unconfirmed if id <= stored])
        line.publisher, line.connection = publisher, connection
        line.waiting.extendleft((id, message, sent) for id, (message, sent) in reversed(line.unconfirmed.items()))
        line.unconfirmed.clear()
        self._write(line, connection)

    def _on_lost(self, connection: Connection) -> None:
        for line in self._lines.values():
            if line.connection is connection:
                line.connection = None
                if line.unconfirmed or line.waiting:
                    self._connect(line)

    def _fail(self, line: _Line, error: Exception) -> None:
        kept = [*(sent for _, sent in line.unconfirmed.values()), *(sent for _, _, sent in line.waiting)]
        line.unconfirmed.clear()
        line.waiting.clear()
        for sent in kept:
            self._finish(sent, error)

    def _finish(self, sent: Sent, error: Exception | None) -> None:
        self._unfinished -= 1
        if not self._unfinished:
            self._idle.set()
        sent(error)
