"""What the author of a module writes against: `Actor`, `handles`, `applies`, `reads`, `Rejected`.

An actor decides and remembers, and does nothing else: no I/O, no clock, no randomness, no waiting. That is
what makes it testable without a server, and rebuildable from its events.
"""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar, TypeVar

from datapunk.errors import ConfigurationError
from datapunk.messages.message import Command, Event

C = TypeVar("C", bound=Command)
E = TypeVar("E", bound=Event)
A = TypeVar("A", bound="Actor")

Decision = Event | Iterable[Event] | None


class Rejected(Exception):  # an outcome, not a failure
    """A domain 'no': replied to the sender, recorded, never retried, never dead-lettered.

    Args:
        code: stable and machine-readable, as in `dataset_exists`.
        message: for a person.
        details: whatever else helps, as text.
    """

    def __init__(self, code: str, message: str, details: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.details: dict[str, str] = dict(details or {})


def handles(command: type[C]) -> Callable[[Callable[[A, C], Decision]], Callable[[A, C], Decision]]:
    """Mark a method as the one that decides on commands of this class: it returns events, or raises `Rejected`."""

    def mark(method: Callable[[A, C], Decision]) -> Callable[[A, C], Decision]:
        method.__handles__ = command  # type: ignore[attr-defined]
        return method

    return mark


def applies(event: type[E]) -> Callable[[Callable[[A, E], None]], Callable[[A, E], None]]:
    """Mark a method as the one that changes the state for events of this class. It can't refuse: it's history."""

    def mark(method: Callable[[A, E], None]) -> Callable[[A, E], None]:
        method.__applies__ = event  # type: ignore[attr-defined]
        return method

    return mark


class reads(typing.Generic[A]):  # noqa: N801  # reads like a keyword in a class body
    """Lets an actor look at the state of another one of its module while it decides.

    The engine loads it, fresh for each batch, before the handler runs; it's read-only and may be a moment old.

    Args:
        actor: the class of the other one.
        at: from this actor's id to the other's.

    Example:
        `dataset = reads(Dataset, at=lambda id: id.rpartition(":")[0])`
    """

    def __init__(self, actor: type[A], *, at: Callable[[str], str]) -> None:
        self.actor = actor
        self.at = at
        self.name = ""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    @typing.overload
    def __get__(self, instance: None, owner: type) -> reads[A]: ...
    @typing.overload
    def __get__(self, instance: Actor, owner: type) -> A: ...
    def __get__(self, instance: Actor | None, owner: type) -> A | reads[A]:
        if instance is None:
            return self
        return instance._read[self.name]  # type: ignore[return-value]


class Actor:
    """One event-sourced instance, addressed `<module>.<kind>/<id>`; it handles its commands one at a time.

    A subclass declares its state as annotated class attributes with immutable defaults, a `@handles` method for
    each command, and an `@applies` method for each event that changes its state.

    Attributes:
        kind: the word between module and id in the address; by default the class name in lower case.
        state_version: raise it when the meaning of the state changes: older snapshots are then ignored.
        id: which instance this is.
        version: how many events it has.
    """

    kind: ClassVar[str]
    state_version: ClassVar[int] = 1
    handlers: ClassVar[Mapping[type[Command], Callable[[Any, Any], Decision]]] = {}
    appliers: ClassVar[Mapping[type[Event], Callable[[Any, Any], None]]] = {}
    consulted: ClassVar[tuple[reads[Any], ...]] = ()
    state_fields: ClassVar[Mapping[str, Any]] = {}

    def __init__(self, id: str) -> None:
        self.id = id
        self.version = 0
        self._read: dict[str, Actor] = {}

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.kind = cls.__dict__.get("kind", cls.__name__.lower())
        handlers: dict[type[Command], Callable[[Any, Any], Decision]] = {}
        appliers: dict[type[Event], Callable[[Any, Any], None]] = {}
        consulted: list[reads[Any]] = []
        for name in dir(cls):
            member: Any = cls.__dict__.get(name) or getattr(cls, name)
            if isinstance(member, reads):
                consulted.append(typing.cast("reads[Any]", member))
                continue
            for mark, table in (("__handles__", handlers), ("__applies__", appliers)):
                message = getattr(member, mark, None)
                if message is None:
                    continue
                if message in table:
                    raise ConfigurationError(f"{cls.__name__} has two methods for {message.__name__}")
                table[message] = member  # type: ignore[index, assignment]
        cls.handlers, cls.appliers, cls.consulted = handlers, appliers, tuple(consulted)
        cls.state_fields = _state_fields(cls)

    def look_at(self, name: str, other: Actor) -> None:
        """Set what a `reads` attribute shows. The engine does this before a handler runs."""
        self._read[name] = other

    def apply(self, event: Event) -> None:
        """Let one event change the state; the version grows by one, whether or not anything listens."""
        applier = self.appliers.get(type(event))
        if applier is not None:
            applier(self, event)
        self.version += 1

    def decide(self, command: Command) -> list[Event]:
        """Ask for the events that follow from a command; the state isn't touched.

        Raises:
            Rejected: by the handler.
        """
        decision = self.handlers[type(command)](self, command)
        if decision is None:
            return []
        return [decision] if isinstance(decision, Event) else list(decision)


def _state_fields(cls: type[Actor]) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for klass in reversed(cls.__mro__):
        if klass in (object, Actor):
            continue
        try:
            hints = typing.get_type_hints(klass)
        except NameError as error:
            raise ConfigurationError(f"{klass.__name__}: {error}; state types must be importable at run time") from None
        for name in inspect.get_annotations(klass):
            if name.startswith("_") or typing.get_origin(hints[name]) is ClassVar:
                continue
            if name not in klass.__dict__:
                raise ConfigurationError(f"{klass.__name__}.{name} needs a default: it's the state before any event")
            if isinstance(klass.__dict__[name], (list, dict, set)):
                raise ConfigurationError(
                    f"{klass.__name__}.{name}: a mutable default would be shared; use () or a frozen type"
                )
            fields[name] = hints[name]
    return fields
