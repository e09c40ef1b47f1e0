"""What is wrong with a definition, and where."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from datapunk.messages.catalogue import similar


@dataclass(frozen=True, slots=True)
class Place:
    """A place in a text; both count from 1."""

    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong.

    Attributes:
        place: where.
        message: what, and what would be right.
    """

    place: Place
    message: str

    def shown(self, text: str, file: str = "pipeline.yaml") -> str:
        """As a compiler says it: file, line and column, then the line itself with a mark under the place."""
        lines = text.splitlines()
        said = f"{file}:{self.place.line}:{self.place.column}: {self.message}"
        if not 0 < self.place.line <= len(lines):
            return said
        return f"{said}\n    {lines[self.place.line - 1]}\n    {' ' * (self.place.column - 1)}^"


class InvalidDefinition(Exception):
    """A pipeline's definition is wrong.

    Attributes:
        problems: at least one, in order of their places.
    """

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = sorted(problems, key=lambda problem: (problem.place.line, problem.place.column))
        super().__init__(
            "; ".join(f"line {each.place.line}, column {each.place.column}: {each.message}" for each in self.problems)
        )


def meant(name: str, known: Sequence[str]) -> str:
    """The end of a message about a name that isn't known: what was perhaps meant, or what there is."""
    found = similar(name, known)
    if found:
        return f"; did you mean {' or '.join(found)}?"
    if not known:
        return ""
    return f"; there are {', '.join(known[:20])}" + (", …" if len(known) > 20 else "")
