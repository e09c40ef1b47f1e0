"""Given, when, then: tests of actors without a server.

given(Dataset, DatasetCreated(...)).when(RenameDataset(name="x")).then(DatasetRenamed(name="x"))
given(Dataset).when(RenameDataset(name="x")).rejects("dataset_unknown")
given(Partition, id="weather:0", dataset=[DatasetCreated(...)]).when(AppendRecords(...)).then(...)
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass

from datapunk.actor import Actor, Rejected
from datapunk.messages.message import Command, Event


@dataclass(frozen=True)
class When:
    """What came of a command: either events or a rejection."""

    actor: Actor
    events: tuple[Event, ...]
    rejection: Rejected | None

    def then(self, *expected: Event) -> When:
        """The command was accepted, with exactly these events."""
        if self.rejection is not None:
            raise AssertionError(f"rejected as {self.rejection.code}: {self.rejection.message}")
        assert list(self.events) == list(expected), f"expected {list(expected)}, got {list(self.events)}"
        return self

    def rejects(self, code: str) -> When:
        """The command was rejected with this code."""
        if self.rejection is None:
            raise AssertionError(f"accepted, with {list(self.events)}")
        assert self.rejection.code == code, f"rejected as {self.rejection.code}, not as {code}"
        return self

    def state(self, **expected: object) -> When:
        """After the command, the actor's state has these values."""
        actual = {name: getattr(self.actor, name) for name in expected}
        assert actual == expected, f"expected state {expected}, got {actual}"
        return self


class Given:
    """An actor with a history."""

    def __init__(self, actor: Actor) -> None:
        self.actor = actor

    def when(self, *commands: Command) -> When:
        """Handle commands one after another; what the last one did is what is looked at.

        Raises:
            AssertionError: if a handler changed the state: only `@applies` methods may.
        """
        events: list[Event] = []
        for command in commands:
            before = _state(self.actor)
            try:
                events = self.actor.decide(command)
            except Rejected as rejection:
                assert _state(self.actor) == before, "the handler changed the state before it rejected"
                return When(self.actor, (), rejection)
            assert _state(self.actor) == before, "the handler changed the state; only @applies methods may"
            for event in events:
                self.actor.apply(event)
        return When(self.actor, tuple(events), None)


def given(actor: type[Actor], *history: Event, id: str = "x", **read: Sequence[Event]) -> Given:
    """Start from a history.

    Args:
        actor: the class under test.
        history: its events so far.
        id: its id.
        read: for each `reads` attribute, the history of the actor it looks at.
    """
    instance = actor(id)
    for event in history:
        instance.apply(event)
    for consulted in actor.consulted:
        other = consulted.actor(consulted.at(id))
        for event in read.pop(consulted.name, ()):
            other.apply(event)
        instance.look_at(consulted.name, other)
    if read:
        raise TypeError(f"{actor.__name__} reads no {', '.join(read)}")
    return Given(instance)


def _state(actor: Actor) -> dict[str, object]:
    return {name: copy.deepcopy(getattr(actor, name)) for name in actor.state_fields}
