"""What can go wrong, each with a message that says what to do."""

from __future__ import annotations

__all__ = ["ConnectionLost", "Expelled", "FaustRabbitMQError", "Fenced", "RefusedByBroker", "TopicMismatch"]


class FaustRabbitMQError(Exception):
    """The root of all errors of this package."""


class ConnectionLost(FaustRabbitMQError):
    """The connection to the broker is gone; whoever holds it opens another."""


class RefusedByBroker(FaustRabbitMQError):
    """The broker answered a request with an error."""

    def __init__(self, request: str, code: int) -> None:
        super().__init__(f"RabbitMQ refused {request}: {_MEANINGS.get(code, 'response code')} ({code})")
        self.code = code


class TopicMismatch(FaustRabbitMQError):
    """A topic exists with another number of partitions or another key, which can't be changed."""


class Fenced(FaustRabbitMQError):
    """This worker no longer owns what it wanted to commit: its partitions were given to others."""


class Expelled(Fenced):
    """This worker was silent for longer than its lease, so the group went on without it."""


_MEANINGS = {
    2: "the stream doesn't exist",
    4: "a subscription of this id doesn't exist",
    5: "the stream exists already",
    6: "the stream isn't available",
    8: "wrong user or password",
    12: "no access to the virtual host",
    13: "unknown frame",
    16: "no permission",
    17: "it's wrong somehow",
    18: "a publisher of this id doesn't exist",
}
