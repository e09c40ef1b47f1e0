"""Counts and times tasks by the platform's names, and lets each say in which trace it belongs."""

from __future__ import annotations

import threading
from time import perf_counter
from typing import Any

from dramatiq.broker import Broker, MessageProxy
from dramatiq.middleware import Middleware

from datapunk.tasks.performing import Failed, Postponed
from datapunk.telemetry import metrics


class Measuring(Middleware):
    """`request_duration_seconds{service="<queue>", endpoint="<task>", status="done | failed | postponed"}`."""

    def __init__(self) -> None:
        self._now = threading.local()

    def before_process_message(self, broker: Broker, message: MessageProxy) -> None:
        """Called in the thread that is about to perform the task."""
        self._now.began = perf_counter()
        metrics.REQUESTS_IN_PROGRESS.labels(service=message.queue_name).inc()

    def after_process_message(
        self, broker: Broker, message: MessageProxy, *, result: Any = None, exception: BaseException | None = None
    ) -> None:
        """Called in the same thread."""
        service = message.queue_name
        status = "done" if exception is None else "postponed" if isinstance(exception, Postponed) else "failed"
        metrics.REQUESTS_IN_PROGRESS.labels(service=service).dec()
        metrics.REQUEST_DURATION.labels(service=service, endpoint=message.actor_name, status=status).observe(
            perf_counter() - self._now.began
        )
        if status == "failed":
            code = exception.code if isinstance(exception, Failed) else type(exception).__name__
            metrics.ERRORS.labels(service=service, error_type=code).inc()
