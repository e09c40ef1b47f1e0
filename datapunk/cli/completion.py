"""What the shell offers for an argument: installed modules, and the types of their messages."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import entry_points


def modules(incomplete: str) -> list[str]:
    """Installed modules whose names begin so."""
    from datapunk.module import ENTRY_POINT_GROUP

    names = {point.name for point in entry_points(group=ENTRY_POINT_GROUP)}
    return sorted(name for name in names if name.startswith(incomplete))


def types(kind: str) -> Callable[[str], list[str]]:
    """What completes message types of a kind: `command` or `query`."""

    def complete(incomplete: str) -> list[str]:
        from datapunk.messages.catalogue import Catalogue, Kind
        from datapunk.messages.registry import Registry
        from datapunk.module import find_modules

        try:
            installed = list(find_modules().values())
            catalogue = Catalogue(Registry.of(installed), installed)
        except Exception:  # a module that is wrong is told by the command itself, not between two keys
            return []
        return [each.name for each in catalogue.of_kind(Kind(kind)) if each.name.startswith(incomplete)]

    return complete
