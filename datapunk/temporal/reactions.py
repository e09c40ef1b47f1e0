"""Which events start or signal a workflow: declared at the workflow itself, with two decorators.

@workflow.defn
class CancelUnpaid:
    def __init__(self) -> None:
        self.is_paid = False

    @workflow.run
    @started_by(OrderCreated)
    async def run(self, created: Recorded[OrderCreated]) -> None:
        try:
            await workflow.wait_condition(lambda: self.is_paid, timeout=timedelta(minutes=10))
        except TimeoutError:
            await send(CancelOrder(reason="not paid"), created.actor)

    @workflow.signal
    @signalled_by(OrderPaid)
    def paid(self, event: Recorded[OrderPaid]) -> None:
        self.is_paid = True
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from datapunk.errors import ConfigurationError
from datapunk.messages.message import Event
from datapunk.projection import Recorded

E = TypeVar("E", bound=Event)
F = TypeVar("F", bound=Callable[..., Any])
Key = Callable[[Recorded[Any]], str | None]
About = Callable[[Recorded[Any]], Sequence[str]]

REACTIONS = "__datapunk_reactions__"  # the attribute of a marked method


@dataclass(frozen=True, slots=True)
class Reaction:
    """What one class of event does to one class of workflow.

    Attributes:
        event: the class.
        key: which workflow of the class, from the event; None: the event is none of its business.
        signal: the signal's name; None: the event starts the workflow.
        starts: whether a signal also starts the workflow if it isn't there.
        history: whether events from before the workflow was first run here count, too.
        about: what else the workflow that it starts is found by.
    """

    event: type[Event]
    key: Key
    signal: str | None = None
    starts: bool = False
    history: bool = False
    about: About | None = None


def same_actor(recorded: Recorded[Any]) -> str:
    """The key where none is given: the actor's id, so that there's one workflow an actor."""
    return recorded.actor


def started_by(
    event: type[E],
    *,
    key: Callable[[Recorded[E]], str | None] = same_actor,
    history: bool = False,
    about: Callable[[Recorded[E]], Sequence[str]] | None = None,
) -> Callable[[F], F]:
    """Mark a workflow's `run`: each such event starts one, with the event as its only argument.

    Exactly once: an event whose workflow is there already, running or ended, starts none.

    Args:
        event: the class.
        key: what tells this workflow from others of its class; by default the actor's id. None: don't start.
        history: start it for all events there are when the workflow is first deployed; by default only for
            those that happen from then on.
        about: words that it's found by in Temporal's web UI, as in `DatapunkAbout = "undecodable"`.
    """

    def mark(run: F) -> F:
        return _mark(run, Reaction(event, key, history=history, about=about))

    return mark


def signalled_by(
    event: type[E],
    *,
    key: Callable[[Recorded[E]], str | None] = same_actor,
    starts: bool = False,
    name: str | None = None,
) -> Callable[[F], F]:
    """Mark a signal's method: each such event signals the workflow with this key, with the event as its argument.

    A workflow that isn't there, or has ended, gets no signal: nobody waits for it.

    Args:
        event: the class.
        key: which workflow; by default the one of the actor's id. None: don't signal.
        starts: start the workflow if it was never there: for one that waits for several events in any order. Its
            `run` then takes no argument.
        name: the signal's, where it isn't the method's.
    """

    def mark(method: F) -> F:
        return _mark(method, Reaction(event, key, name or method.__name__, starts))

    return mark


def reactions_of(workflow: type) -> list[Reaction]:
    """All that the methods of a workflow's class were marked with.

    Raises:
        ConfigurationError: if two are for the same class of event.
    """
    found: list[Reaction] = []
    for attribute in dir(workflow):
        found += getattr(getattr(workflow, attribute), REACTIONS, ())
    for event in {reaction.event for reaction in found}:
        if sum(reaction.event is event for reaction in found) > 1:
            raise ConfigurationError(f"{workflow.__name__} reacts twice to {event.message_type}")
    return found


def _mark(method: F, reaction: Reaction) -> F:
    setattr(method, REACTIONS, (*getattr(method, REACTIONS, ()), reaction))
    return method
