"""Performs the tasks of some modules in this process, with Dramatiq's worker."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, cast
from uuid import UUID

import dramatiq
from dramatiq.asyncio import async_to_sync, get_event_loop_thread
from dramatiq.broker import Broker
from dramatiq.middleware import AsyncIO, CurrentMessage, TimeLimit

from datapunk.broker.topology import task_queue
from datapunk.messages.message import Task
from datapunk.messages.registry import Registry
from datapunk.settings import Settings
from datapunk.store.connection import connect
from datapunk.store.originals import mark_performed
from datapunk.tasks.broker import TaskBroker
from datapunk.tasks.burying import Burying
from datapunk.tasks.encoding import AvroEncoder
from datapunk.tasks.measuring import Measuring
from datapunk.tasks.performing import Perform, Tasks
from datapunk.tasks.redriven import letter_of
from datapunk.tasks.retrying import Retrying
from datapunk.telemetry import logs, traces

POLL_MS = 200  # how often a worker looks whether something's time has come
STOP_MS = 20_000  # for tasks under way; what isn't done by then is done again, by somebody

log = logs.get_logger(__name__)


class Performer:
    """Takes tasks from the queues of modules.

    Args:
        tasks: of each module.
        settings: of the process.
        registry: knows the tasks' schemas.
    """

    def __init__(self, tasks: Sequence[Tasks], settings: Settings, registry: Registry) -> None:
        self._tasks = {each.module: each for each in tasks}
        self._by_type = {task: each for each in tasks for task in each.handlers}
        self._threads = settings.task_threads
        self._database_url = settings.database_url
        dramatiq.set_encoder(AvroEncoder(registry))
        # What comes after an attempt goes through these backwards: first `Retrying` decides, then `Burying` acts.
        self._broker = TaskBroker(
            settings.broker_url,
            [Measuring(), Burying(self._gave_up), Retrying(), TimeLimit(), _Loop(tasks), CurrentMessage()],
        )
        for each in tasks:
            for task, handler in each.handlers.items():
                self._declare(each, task, handler)

    async def run(self, stop: asyncio.Event) -> None:
        """Perform tasks until told to stop; then finish what is under way."""
        self._broker.emit_after("process_boot")  # as Dramatiq's own command does; the time limit begins with it
        worker = dramatiq.Worker(self._broker, worker_threads=self._threads, worker_timeout=POLL_MS)
        await asyncio.to_thread(worker.start)
        log.info("tasks_started", modules=sorted(self._tasks))
        try:
            await stop.wait()
        finally:
            await asyncio.to_thread(worker.stop, STOP_MS)
            await asyncio.to_thread(self._broker.close)

    def _declare(self, tasks: Tasks, task: type[Task], handler: Perform) -> None:
        patience = tasks.patience
        dramatiq.Actor(
            _in_context(tasks, handler, self._performed),
            broker=self._broker,
            actor_name=task.message_type,
            queue_name=task_queue(tasks.module),
            priority=0,
            options={
                "max_retries": patience.attempts - 1,
                "min_backoff": round(patience.first_s * 1000),
                "max_backoff": round(patience.longest_s * 1000),
                "time_limit": patience.limit_s * 1000,
                "life_s": patience.life_s,
            },
        )

    async def _performed(self, letter: UUID, attempt: int) -> None:
        """Tell that what was a dead letter is handled. If that fails, the task is performed again."""
        async with await connect(self._database_url) as conn:
            await mark_performed(conn, letter, attempt)

    def _gave_up(self, task: Task, reason: str) -> None:
        async_to_sync(self._by_type[type(task)].gave_up)(task, reason)


def _in_context(
    tasks: Tasks, handler: Perform, handled: Callable[[UUID, int], Awaitable[None]]
) -> Callable[[Any], None]:
    """Perform a task in the event loop, in its trace."""

    async def perform(task: Task, options: Mapping[str, Any], id: str) -> None:
        traceparent = options.get("traceparent")
        with traces.span(f"perform {task.message_type}", traceparent, kind=traces.CONSUMER), logs.context(task_id=id):
            await handler(tasks, task)
            if (letter := letter_of(options)) is not None:
                await handled(*letter)

    def performed(task: Task) -> None:
        message = CurrentMessage.get_current_message()
        assert message is not None  # there's one while an actor runs
        async_to_sync(perform)(task, message.options, message.message_id)

    return performed


class _Loop(AsyncIO):
    """The event loop that tasks run in, with what they need opened before and closed after."""

    def __init__(self, tasks: Sequence[Tasks]) -> None:
        super().__init__()
        self._tasks = tasks

    def before_worker_boot(self, broker: Broker, worker: dramatiq.Worker) -> None:
        super().before_worker_boot(broker, worker)
        self._on_all(lambda tasks: tasks.open())

    def after_worker_shutdown(self, broker: Broker, worker: dramatiq.Worker) -> None:
        self._on_all(lambda tasks: tasks.close())
        super().after_worker_shutdown(broker, worker)

    def _on_all(self, act: Callable[[Tasks], Awaitable[None]]) -> None:
        thread = get_event_loop_thread()
        assert thread is not None  # set above
        for tasks in self._tasks:
            thread.run_coroutine(cast("Any", act(tasks)))
