"""A copy of examples/orders that is installed, and a reader who works on it."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path

from datapunk import background
from datapunk.settings import Settings
from tests.command_line import ROOT
from tests.docs.pages import Shown, Terminal, Written, terminal

EXAMPLE = ROOT / "examples/orders"


class Project:
    """A copy of examples/orders that is installed, and a terminal in it."""

    def __init__(self, folder: Path, terminal: Terminal) -> None:
        self.folder = folder
        self._terminal = terminal

    async def run(self, command: str) -> str:
        """What a command prints; it must succeed."""
        status, printed = await self._terminal.run(command)
        assert status == 0, f"{command}: {printed}"
        return printed

    async def follow(self, steps: Iterable[Shown | Written]) -> None:
        """Do what a page says."""
        for step in steps:
            if isinstance(step, Shown):
                await self._terminal.do(step)
            else:
                self.edit(step)

    def edit(self, written: Written) -> None:
        """Write a file, or the fields of a schema that the page shows."""
        path = self.folder / written.path
        if path.suffix != ".avsc" or written.text.startswith('{\n  "type"'):
            path.write_text(written.text)
            return
        schema = json.loads(path.read_text())
        for field in json.loads(f"[{written.text}]"):
            names = {field["name"], *field.get("aliases", ())}
            schema["fields"] = [each for each in schema["fields"] if each["name"] not in names] + [field]
        path.write_text(json.dumps(schema))


@asynccontextmanager
async def installed(settings: Settings, tmp_path: Path) -> AsyncIterator[Project]:
    """A project in a folder, with these settings; what it runs in the background is stopped at the end."""
    folder = shutil.copytree(EXAMPLE, tmp_path / "orders", ignore=shutil.ignore_patterns("__pycache__", ".*"))
    info = tmp_path / "packages/orders-1.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: orders\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[datapunk.modules]\norders = orders.module:orders\n")
    values = settings.model_dump(exclude_none=True) | {"directory": tmp_path / ".datapunk"}
    environment = {
        **os.environ,
        **{f"DATAPUNK_{name.upper()}": str(value) for name, value in values.items()},
        "PYTHONPATH": f"{info.parent}:{folder}",
        "PYTHONDONTWRITEBYTECODE": "1",  # a file may change twice within a second
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "COLUMNS": "200",
        "NO_COLOR": "1",
    }
    async with terminal(folder, environment) as typing:
        yield Project(folder, typing)
    background.stop(tmp_path / ".datapunk")
