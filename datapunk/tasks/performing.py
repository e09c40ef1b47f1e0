"""What the author of a module writes for its tasks: `Tasks`, `performs`, and how a task says that it can't.

A task is at least once: whoever performs it may be killed at any point, and then somebody performs it again.

    class Mail(Tasks):
        module = "shop"

        @performs(SendReceipt)
        async def send(self, task: SendReceipt) -> None: ...
"""

from __future__ import annotations

import importlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

from dramatiq.errors import Retry

from datapunk.errors import ConfigurationError
from datapunk.messages.message import Task
from datapunk.messages.registry import Registry
from datapunk.module import Module
from datapunk.settings import Settings

T = TypeVar("T", bound=Task)
Perform = Callable[[Any, Any], Awaitable[None]]

MOST_DELAY_S = 1200.0  # RabbitMQ closes the channel of who keeps a message for 30 minutes, as one that waits is kept


class Failed(Retry):
    """An attempt failed, and was told of where it matters; others may follow. Any other exception is a defect.

    Args:
        code: stable and machine-readable; the reason of the dead letter, should no other attempt do better.
        message: for a person.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Postponed(Retry):
    """It's not the time for an attempt: this wasn't one.

    Args:
        message: why, for a person.
        delay_s: when to look again.
    """

    def __init__(self, message: str, delay_s: float) -> None:
        super().__init__(message, delay=max(1, round(min(delay_s, MOST_DELAY_S) * 1000)))


@dataclass(frozen=True, slots=True)
class Patience:
    """How often a task is tried, and when.

    Attributes:
        attempts: most of them, the first included.
        first_s: the pause after the first one; each further one is twice as long. About half of it is up to chance.
        longest_s: the longest pause.
        life_s: after so long, counted from the first attempt that failed or was postponed, it's given up.
        limit_s: for one attempt.
    """

    attempts: int = 10
    first_s: float = 5.0
    longest_s: float = MOST_DELAY_S
    life_s: float = 24 * 3600.0
    limit_s: float = 60.0


def performs(task: type[T]) -> Callable[[Callable[[Any, T], Awaitable[None]]], Callable[[Any, T], Awaitable[None]]]:
    """Mark the method that performs tasks of this class. It returns when all is done, or raises."""

    def mark(method: Callable[[Any, T], Awaitable[None]]) -> Callable[[Any, T], Awaitable[None]]:
        method.__performs__ = task  # type: ignore[attr-defined]
        return method

    return mark


class Tasks:
    """A module's tasks, and what they need meanwhile. All methods run in one event loop, many at a time.

    Args:
        settings: of the process.
        registry: knows the messages of
        modules: all that are known here, of which this is one.

    Attributes:
        module: the module they belong to.
        patience: how often they're tried, and when; an instance may have its own.
    """

    module: ClassVar[str]
    handlers: ClassVar[Mapping[type[Task], Perform]] = {}
    patience = Patience()

    def __init__(self, settings: Settings, registry: Registry, modules: Sequence[Module]) -> None:
        self.settings = settings
        self.registry = registry
        self.modules = modules

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        methods = [getattr(cls, name) for name in dir(cls)]
        cls.handlers = {method.__performs__: method for method in methods if hasattr(method, "__performs__")}

    async def open(self) -> None:
        """Called before the first task."""

    async def close(self) -> None:
        """Called after the last one."""

    async def gave_up(self, task: Any, reason: str) -> None:
        """A task is among the dead letters from here on.

        Args:
            task: it.
            reason: the code of what failed.
        """


def find_tasks(module: Module) -> type[Tasks] | None:
    """The class of a module's tasks, if it has any; imported only now.

    Raises:
        ConfigurationError: if it can't be imported, or is none.
    """
    if module.tasks is None:
        return None
    place, _, name = module.tasks.partition(":")
    try:
        found = getattr(importlib.import_module(place), name)
    except (ImportError, AttributeError) as error:
        raise ConfigurationError(f"the tasks of {module.name} ({module.tasks}) can't be imported: {error}") from error
    if not (isinstance(found, type) and issubclass(found, Tasks)):
        raise ConfigurationError(f"{module.tasks} isn't a subclass of datapunk.tasks.performing.Tasks")
    return found
