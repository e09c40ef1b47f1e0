"""What the engine tells of its batches: how long each stage took, and a span for every traced message.

A batch holds messages of many traces, so each message gets spans of its own, recorded after the fact: decided,
committed, published. For what nobody traces that's one comparison a message.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from time import perf_counter, time_ns
from typing import Any, cast

from pamqp import commands as amqp
from psycopg import AsyncConnection

from datapunk.broker.channel import Channel
from datapunk.broker.topology import command_queue, task_queue, waiting_queue
from datapunk.module import Module
from datapunk.settling import Committed
from datapunk.store.statements import statement
from datapunk.telemetry import metrics, traces

WAITING_S = 1.0  # events in the outbox for longer are told as unconfirmed; younger ones are just under way


class Stopwatch:
    """When a batch was written to the broker, by both clocks: one for durations, one for spans."""

    __slots__ = ("seconds", "unix_ns")

    def __init__(self) -> None:
        self.seconds, self.unix_ns = perf_counter(), time_ns()


class BatchObserver:
    """Observes the batches of one module."""

    def __init__(self, module: Module) -> None:
        self._publishing = metrics.SHARD_BATCH_DURATION.labels(module=module.name, stage="publish")
        self._replying = metrics.SHARD_BATCH_DURATION.labels(module=module.name, stage="reply")
        self._commands = metrics.COMMAND_DURATION.labels(module=module.name)

    def published(self, committed: Sequence[Committed], since: Stopwatch) -> None:
        """The broker has confirmed a batch's events."""
        self._publishing.observe(perf_counter() - since.seconds)
        if not traces.is_on():
            return
        for batch in committed:
            for event in batch.decided.events:
                traces.record(
                    f"publish {event.type}",
                    event.metadata.get("traceparent"),
                    since.unix_ns,
                    kind=traces.PRODUCER,
                    attributes={"messaging.message.id": str(event.id)},
                )

    def replied(self, committed: Sequence[Committed], since: Stopwatch) -> None:
        """Its outcomes are on their way to the senders."""
        self._replying.observe(perf_counter() - since.seconds)
        now = datetime.now(UTC)
        for batch in committed:
            for reply in batch.decided.replies:
                self._commands.observe((now - reply.command.received_at).total_seconds())


class ShardGauges:
    """What whoever owns shards measures now and then: how full their queues are, what waits in the outbox.

    Only owners do, so that each queue is told by one process. The owner of shard 0 tells of the module's queries, tasks
    and dead letters besides.
    """

    def __init__(self, module: Module) -> None:
        self._module = module.name
        self._tasks: list[str] = [task_queue(module.name), waiting_queue(module.name)] if module.tasks else []
        self._queues: set[str] = set()
        self._unconfirmed = metrics.OUTBOX_UNCONFIRMED.labels(module=module.name)

    async def measure(self, channel: Channel, conn: AsyncConnection[Any], shards: Collection[int]) -> None:
        """Measure.

        Args:
            channel: any; if the broker refuses, it's closed.
            conn: to the store.
            shards: those owned.

        Raises:
            BrokerError: if a queue is gone.
        """
        queues = {command_queue(self._module, shard) for shard in shards}
        if 0 in shards:
            queues |= {f"{self._module}.queries", f"{self._module}.dead", *self._tasks}
        self._forget(self._queues - queues)
        for queue in sorted(queues):
            answer = cast(amqp.Queue.DeclareOk, await channel.ask(amqp.Queue.Declare(queue=queue, passive=True)))
            metrics.QUEUE_DEPTH.labels(queue=queue).set(answer.message_count or 0)
            self._queues.add(queue)
        parameters = {"module": self._module, "shards": list(shards), "older_than_s": WAITING_S}
        cursor = await conn.execute(statement("count_outbox"), parameters)
        row = await cursor.fetchone()
        self._unconfirmed.set(row[0] if row else 0)

    def clear(self) -> None:
        """Nothing is owned any more."""
        self._forget(set(self._queues))
        self._unconfirmed.set(0)

    def _forget(self, queues: set[str]) -> None:
        for queue in queues:
            metrics.QUEUE_DEPTH.remove(queue)
        self._queues -= queues
