"""The kinds of message. Concrete classes are generated from .avsc files; nobody writes one by hand."""

from __future__ import annotations

from typing import ClassVar

import msgspec


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """Anything that travels. `message_type` is the schema's full name, as in `lake.CreateDataset`."""

    message_type: ClassVar[str]


class Command(Message, frozen=True, kw_only=True):
    """A request to one actor, in the imperative. It may be rejected."""


class Event(Message, frozen=True, kw_only=True):
    """A fact, in the past tense. Never changed, never deleted."""


class Query(Message, frozen=True, kw_only=True):
    """A question, answered from projections. `answer_type` is the message type of its answer."""

    answer_type: ClassVar[str]


class Answer(Message, frozen=True, kw_only=True):
    """What a query is answered with."""


class Task(Message, frozen=True, kw_only=True):
    """The argument of a task: something to be done once, outside of all decisions (see `datapunk.tasks`)."""
