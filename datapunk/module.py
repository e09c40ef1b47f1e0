"""`Module`: the one object by which a module plugs in, found by the entry point group `datapunk.modules`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Protocol

from datapunk.actor import Actor
from datapunk.errors import ConfigurationError
from datapunk.messages.message import Command

if TYPE_CHECKING:
    from datapunk.hook import Hook
    from datapunk.messages.registry import Registry
    from datapunk.projection import Projection, QueryHandler
    from datapunk.settings import Settings

ENTRY_POINT_GROUP = "datapunk.modules"


class Service(Protocol):
    """What a module does besides deciding, projecting and answering, for as long as a worker runs."""

    async def run(self, stop: asyncio.Event) -> None:
        """Work until told to stop. It's called again, after a pause, if it raises."""
        ...


MakeService = Callable[["Settings", "Registry", "Hook"], Service]


@dataclass(frozen=True)
class Module:
    """A set of actors, projections and queries under one name.

    Args:
        name: lower case; prefixes its message types, exchanges and queues (`lake.CreateDataset`, `lake.commands`).
        schemas: the import name of the package that holds its .avsc files (`schemas.lake`).
        actors: its actor classes.
        projections: its projection classes.
        queries: its query handlers (functions marked with `@answers`).
        services: what else runs in each of its workers, by name; several processes may run the same one.
        workflows: the import name of the package that holds its workflows (`workflows.lake`), see
            `datapunk.temporal`; imported only where they run.
        tasks: where its tasks are (`tasks.nexus.webhooks:Webhooks`), see `datapunk.tasks`; imported only where they
            run.
        description: one line for `--help`, docs and the console.
    """

    name: str
    schemas: str
    actors: Sequence[type[Actor]] = ()
    projections: Sequence[type[Projection]] = ()
    queries: Sequence[QueryHandler] = ()
    services: Mapping[str, MakeService] = field(default_factory=dict[str, MakeService])
    workflows: str | None = None
    tasks: str | None = None
    description: str = ""
    labels: Mapping[str, str] = field(default_factory=dict[str, str])

    @cached_property
    def handled_by(self) -> dict[type[Command], type[Actor]]:
        """Which actor handles which command; each command has exactly one.

        Raises:
            ConfigurationError: if two actors claim the same command.
        """
        owner: dict[type[Command], type[Actor]] = {}
        for actor in self.actors:
            for command in actor.handlers:
                if command in owner:
                    raise ConfigurationError(
                        f"{command.message_type} is handled by both {owner[command].__name__} and {actor.__name__}"
                    )
                owner[command] = actor
        return owner

    @property
    def command_types(self) -> list[str]:
        """The message types its actors handle, sorted."""
        return sorted(command.message_type for command in self.handled_by)

    def stream_of(self, actor: type[Actor], id: str) -> str:
        """The name of an instance's stream, as in `lake.dataset/weather`."""
        return f"{self.name}.{actor.kind}/{id}"


def with_installed(modules: Iterable[Module]) -> list[Module]:
    """These modules, and all installed ones besides: what may be spoken to, wherever it runs."""
    return list({**find_modules(), **{module.name: module for module in modules}}.values())


def find_modules(names: Iterable[str] | None = None) -> dict[str, Module]:
    """All installed modules, or those named, by name.

    Raises:
        ConfigurationError: if a named one isn't installed, or one can't be imported.
    """
    found: dict[str, Module] = {}
    for point in sorted(entry_points(group=ENTRY_POINT_GROUP), key=lambda point: point.name):
        if names is not None and point.name not in names:
            continue
        try:
            module = point.load()
        except (ImportError, AttributeError) as error:
            raise ConfigurationError(f"module {point.name} ({point.value}) can't be imported: {error}") from error
        if not isinstance(module, Module):
            raise ConfigurationError(f"entry point {point.name} ({point.value}) is not a datapunk.module.Module")
        found[module.name] = module
    for name in names or ():
        if name not in found:
            known = ", ".join(sorted(p.name for p in entry_points(group=ENTRY_POINT_GROUP))) or "none"
            raise ConfigurationError(f"no module named {name!r} is installed; installed: {known}")
    return found
