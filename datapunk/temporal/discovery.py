"""What a module has for Temporal: found in the files of its package of workflows, activities beside their workflow."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from datapunk.errors import ConfigurationError
from datapunk.module import Module
from datapunk.temporal.reactions import Reaction, reactions_of
from datapunk.temporal.schedules import Schedule

# How Temporal's decorators mark what they're put on.
WORKFLOW, ACTIVITY = "__temporal_workflow_definition", "__temporal_activity_definition"


@dataclass(frozen=True)
class Found:
    """What a package of workflows holds.

    Attributes:
        workflows: classes with `@workflow.defn`, by their names at Temporal.
        activities: functions with `@activity.defn`.
        with_platform: classes whose methods are activities; made with the `Platform` as their only argument.
        reactions: of each workflow, those it has.
        schedules: by their ids.
    """

    workflows: dict[str, type]
    activities: list[Callable[..., Any]]
    with_platform: list[type]
    reactions: dict[str, list[Reaction]]
    schedules: dict[str, Schedule]


def find_workflows(module: Module) -> Found:
    """Import a module's workflows.

    Raises:
        ConfigurationError: if one can't be imported, or two, or two schedules, have the same name.
    """
    found = Found({}, [], [], {}, {})
    if module.workflows is None:
        return found
    for part in _parts(module.workflows):
        for thing in vars(part).values():
            if isinstance(thing, Schedule):
                _add_schedule(found, thing, module.name)
                continue
            if getattr(thing, "__module__", None) != part.__name__:
                continue  # imported there, and found where it's from
            if inspect.isclass(thing) and WORKFLOW in vars(thing):
                name = str(getattr(thing, WORKFLOW).name)
                if name in found.workflows:
                    raise ConfigurationError(f"{module.name} has two workflows named {name}")
                found.workflows[name] = thing
                if reactions := reactions_of(thing):
                    found.reactions[name] = reactions
            elif inspect.isclass(thing) and any(hasattr(each, ACTIVITY) for each in vars(thing).values()):
                found.with_platform.append(thing)
            elif hasattr(thing, ACTIVITY):
                found.activities.append(thing)
    return found


def _add_schedule(found: Found, schedule: Schedule, module: str) -> None:
    if found.schedules.setdefault(schedule.id, schedule) is not schedule:
        raise ConfigurationError(f"{module} has two schedules named {schedule.id}")


def activities_of(instance: object) -> list[Callable[..., Any]]:
    """The methods of an instance that are activities."""
    return [getattr(instance, name) for name, each in vars(type(instance)).items() if hasattr(each, ACTIVITY)]


def _parts(package: str) -> Iterator[ModuleType]:
    try:
        root = importlib.import_module(package)
        yield root
        for part in pkgutil.iter_modules(getattr(root, "__path__", []), f"{package}."):
            if not part.ispkg:  # those hold what workflows use, and may need more than is installed
                yield importlib.import_module(part.name)
    except ImportError as error:
        raise ConfigurationError(f"the workflows in {package} can't be imported: {error}") from error
