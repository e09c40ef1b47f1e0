"""Dramatiq's broker with our queues: quorum queues, from which nothing that a worker rejects gets lost."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pika
import pika.exceptions
from dramatiq.brokers.rabbitmq import RabbitmqBroker
from dramatiq.common import dq_name
from dramatiq.middleware import Middleware

from datapunk.broker.dead_letter import DEAD, dead_key
from datapunk.broker.properties import Properties
from datapunk.broker.topology import module_of_tasks, task_queue_arguments

ATTEMPTS = 3  # to publish: a connection that was idle may be gone


class TaskBroker(RabbitmqBroker):
    """A broker whose queues are declared as `datapunk.broker.topology` says.

    Args:
        url: of RabbitMQ.
        middleware: in Dramatiq's order.
    """

    def __init__(self, url: str, middleware: Sequence[Middleware]) -> None:
        super().__init__(url=url, confirm_delivery=True, middleware=list(middleware))

    def publish_dead(self, module: str, reason: str, properties: Properties, body: bytes) -> None:
        """Publish a dead letter; returns once the broker has confirmed it.

        Raises:
            pika.exceptions.AMQPError: if it can't be published.
        """
        names = ("content_type", "headers", "delivery_mode", "message_id", "type", "app_id")
        given = pika.BasicProperties(**{name: getattr(properties, name) for name in names})
        for attempt in range(1, ATTEMPTS + 1):
            try:
                self.channel.basic_publish(DEAD, dead_key(module, reason), body, given, mandatory=True)
                return
            except (pika.exceptions.AMQPConnectionError, pika.exceptions.AMQPChannelError):
                del self.connection
                if attempt == ATTEMPTS:
                    raise

    def _declare_queue(self, queue_name: str) -> Any:
        return self._declare(queue_name)

    def _declare_dq_queue(self, queue_name: str) -> Any:
        return self._declare(dq_name(queue_name))

    def _declare_xq_queue(self, queue_name: str) -> None:
        """What is rejected goes to our dead letters, not to Dramatiq's, which lose it after a week."""

    def _declare(self, queue: str) -> Any:
        return self.channel.queue_declare(queue, durable=True, arguments=task_queue_arguments(module_of_tasks(queue)))
