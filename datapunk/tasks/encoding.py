"""How a task is written: the envelope is Dramatiq's own in JSON, the argument is in Avro's JSON encoding.

{"queue_name": "nexus.tasks", "actor_name": "nexus.DeliverEvent", "args": [
  {"type": "nexus.DeliverEvent", "schema": "fb3f…", "task": {…}}], "kwargs": {}, "options": {}, …}
"""

from __future__ import annotations

from typing import Any, cast

import dramatiq
import msgspec
from dramatiq.encoder import Encoder
from dramatiq.errors import DecodeError

from datapunk.broker.topology import task_queue
from datapunk.errors import MessageError
from datapunk.messages.codec import AVRO_JSON
from datapunk.messages.message import Task
from datapunk.messages.registry import Registry


class Written(msgspec.Struct):
    """A task as an argument."""

    type: str
    schema: str
    task: msgspec.Raw


class Enveloped(msgspec.Struct, forbid_unknown_fields=True):
    """A message as Dramatiq's workers read it."""

    queue_name: str
    actor_name: str
    args: tuple[Written]
    kwargs: dict[str, Any]
    options: dict[str, Any]
    message_id: str
    message_timestamp: int


class AvroEncoder(Encoder):
    """Writes and reads messages whose only argument is a task.

    Args:
        registry: knows the tasks' schemas, older ones, too.
    """

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def encode(self, data: dict[str, Any]) -> bytes:
        """A message in bytes."""
        (task,) = cast("tuple[Task]", data["args"])
        written = Written(task.message_type, self._registry.fingerprint(type(task)), msgspec.Raw(self._body(task)))
        return msgspec.json.encode({**data, "args": [written]})

    def decode(self, data: bytes) -> dict[str, Any]:
        """The message.

        Raises:
            DecodeError: if it's none.
        """
        try:
            envelope = msgspec.json.decode(data, type=Enveloped)
            (written,) = envelope.args
            task = self._registry.decode(written.type, bytes(written.task), AVRO_JSON, written.schema)
        except (msgspec.DecodeError, MessageError) as error:
            raise DecodeError(str(error), data, error) from error
        return {**msgspec.structs.asdict(envelope), "args": (task,)}

    def _body(self, task: Task) -> bytes:
        return self._registry.encode(task, AVRO_JSON)


def message_of(module: str, task: Task, **options: Any) -> dramatiq.Message[None]:
    """The message that has a task of a module performed."""
    return dramatiq.Message(
        queue_name=task_queue(module), actor_name=task.message_type, args=(task,), kwargs={}, options=options
    )
