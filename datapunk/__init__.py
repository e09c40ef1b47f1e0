"""Datapunk's runtime: commands in, events out, tables to read. What a module's author needs is all here."""

from datapunk.actor import Actor, Rejected, applies, handles, reads
from datapunk.module import Module
from datapunk.projection import Asked, Projection, Recorded, Rows, answers, projects

__all__ = [
    "Actor",
    "Asked",
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
]
