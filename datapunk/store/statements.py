"""The SQL statements beside this file, by name."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import LiteralString, cast


@cache
def statement(name: str) -> LiteralString:
    """The text of `sql/<name>.sql`. It's ours, not anybody's input; values are always parameters."""
    return cast(LiteralString, (files("datapunk.store") / "sql" / f"{name}.sql").read_text())
