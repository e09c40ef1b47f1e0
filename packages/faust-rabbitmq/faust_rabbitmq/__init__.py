"""RabbitMQ Streams as a transport for Faust: `faust.App("orders", broker="rabbitmq://localhost")`."""

from __future__ import annotations

from faust_rabbitmq.errors import Expelled, FaustRabbitMQError, Fenced, TopicMismatch
from faust_rabbitmq.topics import KEY_HEADER, ROUTED

__all__ = ["KEY_HEADER", "ROUTED", "Expelled", "FaustRabbitMQError", "Fenced", "TopicMismatch"]
