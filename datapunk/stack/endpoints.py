"""Where the servers are, as `DATAPUNK_*` variables in `<directory>/endpoints.env`: settings.py reads them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

FILE_NAME = "endpoints.env"


def save_endpoints(directory: Path, endpoints: Mapping[str, str]) -> None:
    """Replace the file."""
    path = directory / FILE_NAME
    partial = path.with_suffix(f".{os.getpid()}")
    head = "# Written by `datapunk up`, removed by `datapunk down`.\n"
    partial.write_text(head + "".join(f"{name}={value}\n" for name, value in sorted(endpoints.items())))
    partial.replace(path)


def remove_endpoints(directory: Path) -> None:
    """Remove the file: nothing answers there any more."""
    (directory / FILE_NAME).unlink(missing_ok=True)
