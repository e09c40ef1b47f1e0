"""What the things of a new project are called, and which names can't be."""

from __future__ import annotations

import keyword
import re
import sys
from dataclasses import dataclass
from importlib.metadata import packages_distributions

from datapunk.errors import ConfigurationError

MAX_LENGTH = 18  # keeps the projection's Postgres schema within its 48, and lines within 120

_NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
_OURS = frozenset({"datapunk", "actors", "projections", "schemas", "tasks", "test", "tests", "workflows"})
# An actor's file lies beside these, and its class beside what it imports from datapunk.
_TAKEN = frozenset(
    {
        *("actor", "applies", "answers", "asked", "handles", "module", "projection", "projects", "reads", "recorded"),
        *("commands", "events", "queries", "tasks", "types", "rejected", "released", "rows", "platform"),
    }
)


@dataclass(frozen=True, slots=True)
class Names:
    """The words of a project.

    Attributes:
        module: of the module, and of its Python package, as in `orders`.
        actor: what one of its actors is, as in `order`.
    """

    module: str
    actor: str

    @property
    def actors(self) -> str:
        """The actor's plural: the module's name, if that is one."""
        return self.module if singular(self.module) == self.actor else f"{self.actor}s"


def names_of(module: str, actor: str | None = None) -> Names:
    """Check the names.

    Args:
        module: of the module.
        actor: what one of its actors is; by default the module's name in the singular.

    Raises:
        ConfigurationError: saying which is wrong, and how.
    """
    _check("module", module)
    if module in _OURS:
        raise ConfigurationError(f"a module can't be called {module!r}: Datapunk has a package of that name")
    if module in sys.stdlib_module_names:
        raise ConfigurationError(f"a module can't be called {module!r}: Python has a package of that name")
    if found := packages_distributions().get(module):
        raise ConfigurationError(f"a module can't be called {module!r}: the installed package {found[0]} has that name")
    chosen = singular(module) if actor is None else actor
    hint = "" if actor is not None else "; say what one of its actors is with --actor"
    _check("actor", chosen, hint)
    if chosen in _TAKEN:
        raise ConfigurationError(f"an actor can't be called {chosen!r}: that means something else in a module{hint}")
    return Names(module, chosen)


def singular(name: str) -> str:
    """A plural's singular, as far as English spells it regularly."""
    if name.endswith("ies") and len(name) > 4:
        return f"{name[:-3]}y"
    if name.endswith(("sses", "xes", "ches", "shes")):
        return name[:-2]
    if name.endswith("s") and not name.endswith(("ss", "us", "is")) and len(name) > 1:
        return name[:-1]
    return name


def _check(what: str, name: str, hint: str = "") -> None:
    if not _NAME.fullmatch(name):
        raise ConfigurationError(
            f"{name!r} can't be the name of a new {what}: use lower-case letters and digits, a letter first, "
            f"and single underscores between them, as in stock_items{hint}"
        )
    if len(name) > MAX_LENGTH:
        raise ConfigurationError(f"{name!r} is too long for the name of a new {what}: use at most {MAX_LENGTH}{hint}")
    if keyword.iskeyword(name) or keyword.issoftkeyword(name):
        raise ConfigurationError(f"{name!r} can't be the name of a new {what}: Python reserves it{hint}")
