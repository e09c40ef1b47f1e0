"""Datapunk's runtime: commands in, events out, tables to read. What a module's author needs is all here."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from datapunk.actor import Actor, Rejected, applies, handles, reads
    from datapunk.messages.upcasters import upcasts
    from datapunk.module import Module
    from datapunk.projection import Asked, Cached, Projection, Recorded, Rows, answers, projects

__all__ = [
    "Actor",
    "Asked",
    "Cached",
    "Module",
    "Projection",
    "Recorded",
    "Rejected",
    "Rows",
    "answers",
    "applies",
    "handles",
    "projects",
    "reads",
    "upcasts",
]

# Loaded when first used: `datapunk --help` and the shell's completion need none of it.
_HOMES = {
    "datapunk.actor": ("Actor", "Rejected", "applies", "handles", "reads"),
    "datapunk.messages.upcasters": ("upcasts",),
    "datapunk.module": ("Module",),
    "datapunk.projection": ("Asked", "Cached", "Projection", "Recorded", "Rows", "answers", "projects"),
}


def __getattr__(name: str) -> Any:
    for home, names in _HOMES.items():
        if name in names:
            value = globals()[name] = getattr(import_module(home), name)
            return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
