"""Portions of records on their way: several under way at a time, each again until its outcome is there."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from datapunk.client import Client
from datapunk.errors import BrokerError, DatapunkError
from datapunk.messages.outcome import Outcome, Status
from schemas.lake.commands import AppendRecords
from workflows.lake.files.records import Portion, Target

WINDOW = 12  # commands under way
PATIENCE_S = 300.0  # with a broker or a worker that is away
PAUSE_S = (0.2, 5.0)  # before the first repetition, and the longest


class LoadFailed(DatapunkError):
    """Lake refused records. What was accepted before stays; loading the same file again goes on from there."""

    code = "load_failed"


def must_be_accepted(outcome: Outcome) -> None:
    """Go on only if Lake did what it was asked to.

    Raises:
        LoadFailed: with what it says instead.
    """
    if outcome.status is not Status.Accepted:
        raise LoadFailed(f"{outcome.code}: {outcome.message}")


@dataclass
class Sent:
    """How far a load is.

    Attributes:
        rows: that are durable.
        position: the highest of their events.
    """

    rows: int = 0
    position: int = 0


class Sender:
    """Sends a dataset's portions.

    Args:
        client: by which.
        target: the dataset. If it has a key, a partition's portions go one after the other: order is kept.
        tenant: whose.
        on_rows: is told how many rows became durable.
        patience_s: how long to go on without an outcome.
    """

    def __init__(
        self,
        client: Client,
        target: Target,
        tenant: str,
        on_rows: Callable[[int], None],
        patience_s: float = PATIENCE_S,
    ) -> None:
        self._client, self._target, self._tenant = client, target, tenant
        self._on_rows, self._patience_s = on_rows, patience_s
        self._lanes = [asyncio.Lock() for _ in range(target.partitions)] if target.key is not None else []
        self.sent = Sent()

    async def send(self, batches: Iterator[list[Portion]]) -> Sent:
        """Send all; what is read is read in a thread, the next while these are under way.

        Raises:
            LoadFailed: if Lake refuses some.
            BrokerError: if nobody answers.
            BadFile: from reading.
        """
        room = asyncio.Semaphore(WINDOW)
        try:
            async with asyncio.TaskGroup() as group:
                while (portions := await asyncio.to_thread(next, batches, None)) is not None:
                    for portion in portions:
                        await room.acquire()
                        group.create_task(self._send(portion)).add_done_callback(lambda _: room.release())
        except BaseExceptionGroup as errors:
            raise errors.exceptions[0] from None
        return self.sent

    async def _send(self, portion: Portion) -> None:
        if self._lanes:
            async with self._lanes[portion.partition]:
                outcome = await self._outcome(portion)
        else:
            outcome = await self._outcome(portion)
        must_be_accepted(outcome)
        self.sent.rows += portion.count
        self.sent.position = max(self.sent.position, outcome.position)
        self._on_rows(portion.count)

    async def _outcome(self, portion: Portion) -> Outcome:
        """Again and again, by the same id, until it's there."""
        until, pause = time.monotonic() + self._patience_s, PAUSE_S[0]
        actor, command = f"{self._target.dataset}:{portion.partition}", AppendRecords(records=portion.records)
        while True:
            try:
                return await self._client.send(command, actor, tenant=self._tenant, message_id=portion.id)
            except BrokerError:
                if time.monotonic() > until:
                    raise
                await asyncio.sleep(pause)
                pause = min(pause * 2, PAUSE_S[1])
