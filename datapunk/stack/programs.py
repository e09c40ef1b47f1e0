"""Finding installed programs."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from pathlib import Path

from datapunk.errors import PartMissing

INSTALLER = "ops/install.sh"


def find_program(name: str, *, also_in: Iterable[Path] = ()) -> Path | None:
    """The program `name`: in one of the folders `also_in`, which go first, else in PATH."""
    for folder in also_in:
        if os.access(folder / name, os.X_OK):
            return folder / name
    found = shutil.which(name)
    return Path(found) if found else None


def missing(title: str, *, debian: str, macos: str) -> PartMissing:
    """The error for a program that isn't there, with the commands that install it."""
    return PartMissing(
        f"{title} is not installed. Run {INSTALLER} (it installs only what is missing), "
        f"or: Debian, Ubuntu: {debian}; macOS: {macos}"
    )
