"""A task that failed for good is one dead letter, though somebody performs and buries it a second time."""

from __future__ import annotations

from typing import Any, cast
from uuid import UUID

import dramatiq
from dramatiq.broker import MessageProxy

from datapunk.broker.dead_letter import ATTEMPT, ID
from datapunk.broker.properties import Properties
from datapunk.messages.registry import Registry
from datapunk.tasks.broker import TaskBroker
from datapunk.tasks.burying import Burying
from datapunk.tasks.encoding import AvroEncoder, message_of
from datapunk.tasks.performing import Failed
from datapunk.tasks.redriven import marked
from datapunk.tasks.retrying import SINCE
from tests.accounts.module import accounts
from tests.accounts.tasks import SendStatement

LETTER = UUID("3491f8aa-8b9c-544b-834d-895edf4fa1bd")
encoder = AvroEncoder(Registry.of([accounts]))
STATEMENT = encoder.encode(message_of("accounts", SendStatement(account="a")).asdict())


class Kept(TaskBroker):
    """Keeps what it's to publish; nothing connects before something is published."""

    def __init__(self) -> None:
        super().__init__("amqp://nowhere", [])
        self.dead: list[tuple[Properties, bytes]] = []

    def publish_dead(self, module: str, reason: str, properties: Properties, body: bytes) -> None:
        self.dead.append((properties, body))


def buried(body: bytes, **options: Any) -> tuple[dict[str, Any], bytes]:
    """The headers and the body of the dead letter that a task's message becomes."""
    dramatiq.set_encoder(encoder)
    broker, message = Kept(), MessageProxy(dramatiq.Message(**encoder.decode(body)))
    message.options.update(options)
    message.fail()
    Burying(lambda task, reason: None).after_process_message(broker, message, exception=Failed("refused", "no"))
    ((properties, letter),) = broker.dead
    return cast("dict[str, Any]", properties.headers), letter


def test_a_task_that_is_buried_twice_is_one_letter_with_the_same_body() -> None:
    (first, body), (second, again) = (buried(STATEMENT, retries=n, **{SINCE: n}) for n in (1, 2))
    assert first[ID] == second[ID]
    assert body == again == STATEMENT


def test_a_redriven_one_says_which_letter_and_attempt_it_was_and_forgets_it_in_its_body() -> None:
    headers, body = buried(marked(STATEMENT, LETTER, 3) or b"")
    assert (headers[ID], headers[ATTEMPT]) == (str(LETTER), 3)
    assert body == STATEMENT
