"""Points in history, as people type them: a number, or a time."""

from __future__ import annotations

from datetime import UTC, datetime

import typer

Point = int | datetime


def read_point(text: str) -> Point:
    """A position or version as a number; else a time in ISO 8601, of UTC unless it says otherwise.

    Raises:
        typer.BadParameter: if it's neither.
    """
    if text.isdecimal():
        return int(text)
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is neither a number nor a time like 2026-11-24T08:00:00Z") from None
    return at if at.tzinfo else at.replace(tzinfo=UTC)
