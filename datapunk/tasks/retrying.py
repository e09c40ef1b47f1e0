"""When a task is tried again: Dramatiq's own policy, and what it has no word for."""

from __future__ import annotations

import time
from typing import Any, cast

from dramatiq.broker import Broker, MessageProxy
from dramatiq.middleware import Retries

from datapunk.tasks.performing import Postponed
from datapunk.telemetry.logs import get_logger

SINCE = "tried_since"  # an option of a message: when an attempt failed or was postponed first, in ms of Unix time

log = get_logger(__name__)


class Retrying(Retries):
    """Tries again what failed, after a growing pause, until its patience is spent; then the message counts as failed.

    What was postponed comes back without counting as an attempt.
    """

    @property
    def actor_options(self) -> set[str]:
        """What a task's patience is handed over as."""
        return {*super().actor_options, "life_s"}

    def after_process_message(
        self, broker: Broker, message: MessageProxy, *, result: Any = None, exception: BaseException | None = None
    ) -> None:
        """Called once an attempt is over; afterwards the message is acknowledged, or rejected if it failed for good."""
        if exception is None:
            return
        now = int(time.time() * 1000)
        life_s = broker.get_actor(message.actor_name).options["life_s"]  # pyright: ignore[reportUnknownMemberType]
        if now - message.options.setdefault(SINCE, now) > life_s * 1000:
            message.fail()
            return
        try:
            if isinstance(exception, Postponed):
                broker.enqueue(cast(Any, message), delay=exception.delay)  # pyright: ignore[reportUnknownMemberType]
            else:
                super().after_process_message(broker, message, exception=exception)
        except Exception as error:  # else it would be acknowledged, and be nowhere
            log.exception("task_not_put_back", task=message.actor_name, detail=str(error))
            message.fail()
