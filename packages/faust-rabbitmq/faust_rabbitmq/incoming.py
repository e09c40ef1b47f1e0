"""What comes in from the streams of a worker's partitions, as Faust's messages.

Of changelogs only that comes through which counts: what a dead or fenced worker wrote and never committed is left
out, and what another worker has yet to commit waits.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Collection
from contextlib import suppress
from time import monotonic
from typing import Any, cast

import psycopg
from faust.types import TP, AppT, ConsumerMessage

from faust_rabbitmq.ledger import Ledger, Verdict, Verdicts
from faust_rabbitmq.record import Record, decode
from faust_rabbitmq.stream.connections import Connections
from faust_rabbitmq.stream.frames import Chunk, Offset
from faust_rabbitmq.stream.reader import Reader, chunk_at
from faust_rabbitmq.topic import stream_of
from faust_rabbitmq.topics import Topics

__all__ = ["Incoming"]

_MOST_AT_ONCE = 500  # messages of a partition, before the others have their turn
_JUDGE_EVERY_S = 0.5
_SENT, _STORED = 0, 1  # what a timestamp tells of

_Read = tuple[int, float, Record]


class Incoming:
    """The readers of all partitions.

    Args:
        app: whose worker it is.
        connections: to read over.
        ledger: what says which writes to changelogs count.
        topics: what says what the key of a topic is.
    """

    def __init__(self, app: AppT, connections: Connections, ledger: Ledger, topics: Topics) -> None:
        self._app, self._connections, self._ledger, self._topics = app, connections, ledger, topics
        self._readers: dict[TP, Reader] = {}
        self._arrived = asyncio.Event()
        self._waiting: dict[TP, deque[_Read]] = {}
        self._changelogs: set[TP] = set()
        self._owned: Collection[TP] = frozenset()
        self._epoch = 0
        self._verdicts = Verdicts({}, {})
        self._judge_again_at = 0.0
        self._stopping: set[asyncio.Future[None]] = set()

    def assign(self, tps: Collection[TP]) -> None:
        """Read these from now on, and no others."""
        for tp in self._readers.keys() - set(tps):
            reader = self._readers.pop(tp)
            task = asyncio.ensure_future(reader.stop())
            self._stopping.add(task)
            task.add_done_callback(self._stopping.discard)
        for tp in tps:
            if tp not in self._readers:
                self._readers[tp] = Reader(self._connections, stream_of(tp.topic, tp.partition), self._arrived)
        self._waiting.clear()

    async def judge(self, changelogs: set[TP], owned: Collection[TP], epoch: int) -> None:
        """Learn what counts of these changelogs; of those that we own, from now on only what we write."""
        self._changelogs, self._owned, self._epoch = changelogs, owned, epoch
        self._verdicts = await self._ledger.verdicts(changelogs)

    async def take(self, tps: Collection[TP]) -> dict[TP, list[ConsumerMessage]]:
        """What has come of these partitions."""
        if self._waiting and monotonic() >= self._judge_again_at:
            self._judge_again_at = monotonic() + _JUDGE_EVERY_S
            with suppress(psycopg.Error):
                self._verdicts = await self._ledger.verdicts(self._changelogs)
        taken: dict[TP, list[ConsumerMessage]] = {}
        for tp in list(tps):
            reader = self._readers.get(tp)
            if reader is not None and (messages := self._take(tp, reader)):
                taken[tp] = messages
        return taken

    async def wait(self, at_most_s: float) -> None:
        """Wait until something has come."""
        self._arrived.clear()
        if any(reader.has_some for reader in self._readers.values()):
            # of partitions that are paused; look again soon, without spinning
            at_most_s = min(at_most_s, 0.02)
        with suppress(TimeoutError):
            await asyncio.wait_for(self._arrived.wait(), at_most_s)

    def seek(self, tp: TP, offset: int) -> None:
        """Go on there."""
        self._waiting.pop(tp, None)
        self._readers[tp].seek(offset)

    def position(self, tp: TP) -> int | None:
        """What is read next."""
        reader = self._readers.get(tp)
        return None if reader is None else reader.position

    def end(self, tp: TP) -> int:
        """After the last that has come."""
        reader = self._readers.get(tp)
        return 0 if reader is None else reader.end

    async def find_end(self, tp: TP) -> tuple[int, int]:
        """After the last message that counts, and after the last of all."""
        stream = stream_of(tp.topic, tp.partition)
        chunk = await chunk_at(self._connections, stream, Offset.last())
        end = chunk.first_offset + len(chunk.messages)
        first = (await chunk_at(self._connections, stream, Offset.first())).first_offset
        while True:
            found = self._last_that_counts(tp, chunk)
            if found is not None:
                return found + 1, end
            if chunk.first_offset <= first:
                return first, end
            chunk = await chunk_at(self._connections, stream, Offset.of(chunk.first_offset - 1))

    async def stop(self) -> None:
        """Read no more."""
        await asyncio.gather(*(reader.stop() for reader in self._readers.values()), *self._stopping)

    def _last_that_counts(self, tp: TP, chunk: Chunk) -> int | None:
        for offset in range(chunk.first_offset + len(chunk.messages) - 1, chunk.first_offset - 1, -1):
            record = decode(chunk.messages[offset - chunk.first_offset])
            if not record.is_marker and self._verdict(tp, record) is Verdict.COUNTS:
                return offset
        return None

    def _take(self, tp: TP, reader: Reader) -> list[ConsumerMessage]:
        found = self._topics.known(tp.topic)
        key_header = None if found is None else found.key_header
        generation = cast("Any", self._app).consumer_generation_id
        if tp not in self._changelogs:
            return [
                _message(tp, offset, stored_at, record, generation)
                for offset, stored_at, message in reader.take(_MOST_AT_ONCE)
                if not (record := decode(message, key_header)).is_marker
            ]
        waiting = self._waiting.pop(tp, None) or deque()
        if len(waiting) < _MOST_AT_ONCE:
            waiting += ((offset, at, decode(message)) for offset, at, message in reader.take(_MOST_AT_ONCE))
        messages: list[ConsumerMessage] = []
        while waiting:
            offset, stored_at, record = waiting[0]
            verdict = self._verdict(tp, record)
            if verdict is Verdict.IS_OPEN:
                self._waiting[tp] = waiting
                break
            waiting.popleft()
            if verdict is Verdict.COUNTS and not record.is_marker:
                messages.append(_message(tp, offset, stored_at, record, generation))
        return messages

    def _verdict(self, tp: TP, record: Record) -> Verdict:
        return self._verdicts.of(tp, record.mark, self._epoch if tp in self._owned else None)


def _message(tp: TP, offset: int, stored_at: float, record: Record, generation: int) -> ConsumerMessage:
    key, value = record.key, record.value
    is_sent = record.timestamp is not None
    return ConsumerMessage(
        tp.topic,
        tp.partition,
        offset,
        record.timestamp if record.timestamp is not None else stored_at,
        _SENT if is_sent else _STORED,
        record.headers,
        key,
        value,
        None,
        -1 if key is None else len(key),
        -1 if value is None else len(value),
        tp,
        generation_id=generation,
    )
