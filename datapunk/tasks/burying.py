"""A task that was tried as often as it may becomes a dead letter, like any message that can't be handled."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from typing import Any

from dramatiq.broker import Broker, MessageProxy
from dramatiq.middleware import Middleware

from datapunk.broker.dead_letter import ATTEMPT, ID, dead_letter
from datapunk.broker.properties import PERSISTENT, Properties
from datapunk.broker.topology import module_of_tasks
from datapunk.errors import TaskFailed
from datapunk.messages.message import Task
from datapunk.tasks.broker import TaskBroker
from datapunk.tasks.performing import Failed
from datapunk.tasks.redriven import LETTER, letter_of
from datapunk.tasks.retrying import SINCE
from datapunk.telemetry import metrics
from datapunk.telemetry.logs import get_logger

CONTENT_TYPE = "application/json"
# Options: who tries it again begins anew.
PASSING = ("retries", "traceback", "requeue_timestamp", SINCE, LETTER)

log = get_logger(__name__)


class Burying(Middleware):
    """Publishes failed messages as dead letters; what can't be published is rejected, and the broker moves it.

    Args:
        gave_up: told the task and the reason.
    """

    def __init__(self, gave_up: Callable[[Task, str], None]) -> None:
        self._gave_up = gave_up

    def after_process_message(
        self, broker: Broker, message: MessageProxy, *, result: Any = None, exception: BaseException | None = None
    ) -> None:
        """Called after `Retrying`, which has decided by then."""
        if not message.failed or exception is None:
            return
        assert isinstance(broker, TaskBroker)  # ours
        module = module_of_tasks(message.queue_name)
        reason = exception.code if isinstance(exception, Failed) else TaskFailed.code
        said = str(exception) if isinstance(exception, Failed) else f"{type(exception).__name__}: {exception}"
        text = f"{message.options.get('retries', 0)} attempts, the last: {said}"
        trace = "" if isinstance(exception, Failed) else "".join(traceback.format_exception(exception))
        (task,) = message.args
        body = _anew(message).encode()
        headers: dict[str, Any] = {"tenant": task.tenant} if hasattr(task, "tenant") else {}
        if (letter := letter_of(message.options)) is not None:
            headers[ID], headers[ATTEMPT] = str(letter[0]), letter[1]
        properties = dead_letter(
            Properties(
                content_type=CONTENT_TYPE,
                headers=headers,
                delivery_mode=PERSISTENT,
                message_id=message.message_id,
                type=message.actor_name,
                app_id="datapunk",
            ),
            body,
            reason=reason,
            message=text,
            trace=trace,
            routing_key=message.queue_name,
            queue=message.queue_name,
        )
        try:
            broker.publish_dead(module, reason, properties, body)
        except Exception as error:
            log.exception("dead_letter_left_to_broker", module=module, reason=reason, detail=str(error))
            return
        message.failed = False  # so that it's acknowledged: the dead letter stands for it now
        metrics.DEAD_LETTERS.labels(module=module, reason=reason).inc()
        log.warning("dead_letter", module=module, reason=reason, detail=text, message_id=message.message_id)
        self._gave_up(task, reason)


def _anew(message: MessageProxy) -> Any:
    """As it was before its first attempt: the same bytes, should somebody perform and bury it a second time."""
    options = {name: value for name, value in message.options.items() if name not in PASSING}
    copy = message.copy()
    copy.options.clear()
    copy.options.update(options)
    return copy
