"""docs/tutorial/own-module.md: all of it, in order, from an empty folder, on servers that it starts itself."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.command_line import ROOT
from tests.docs.pages import Written, steps, terminal
from tests.own_stack import Place

PAGE = (ROOT / "docs/tutorial/own-module.md").read_text()
EXAMPLE = ROOT / "examples/orders"


@pytest.mark.servers
@pytest.mark.timeout(600)  # a whole installation of Python packages is among its commands
async def test_its_commands_lead_from_an_empty_folder_to_the_example(place: Place) -> None:
    (place.folder / "datapunk").symlink_to(ROOT)
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    environment |= {"COLUMNS": "200", "NO_COLOR": "1", "DATAPUNK_DIRECTORY": str(place.directory)}
    project = place.folder / "orders"
    async with terminal(place.folder, environment) as reader:
        for step in steps(PAGE, EXAMPLE):
            if isinstance(step, Written):
                (project / step.path).write_text(step.text)
            else:
                await reader.do(step)
    assert files_of(project) == files_of(EXAMPLE)


def files_of(project: Path) -> dict[str, str]:
    """The text of each file, without what isn't committed; wherever Datapunk is, seen from there."""
    not_committed = {".venv", ".pytest_cache", ".ruff_cache", "__pycache__"}
    source = os.path.relpath(ROOT, project)
    return {
        str(path.relative_to(project)): path.read_text().replace(source, "<datapunk>")
        for path in project.rglob("*")
        if path.is_file() and not_committed.isdisjoint(path.relative_to(project).parts)
    }
