"""docs/how-to/write-a-module.md and test-a-module.md: what they say is done, on the project that they speak of."""

from __future__ import annotations

import re

from datapunk.settings import Settings
from tests.command_line import ROOT
from tests.docs.pages import Shown, steps
from tests.docs.project import EXAMPLE, Project

WRITE = (ROOT / "docs/how-to/write-a-module.md").read_text()
TEST = (ROOT / "docs/how-to/test-a-module.md").read_text()
IMPORTS = """
from orders.commands import CreateOrder
from orders.events import OrderCreated
from orders.order import Order
from orders.queries import ListOrders
"""


def commands(page: str) -> list[Shown]:
    return [step for step in steps(page, EXAMPLE) if isinstance(step, Shown)]


async def test_a_module_runs_as_its_page_says(project: Project) -> None:
    await project.run("datapunk run orders --detach")  # what the page runs in a terminal of its own
    answered = [each for each in commands(WRITE) if each.command.startswith(("datapunk send", "datapunk query"))]
    assert len(answered) == 4
    await project.follow(answered)


async def test_the_tests_that_the_page_shows_pass(project: Project) -> None:
    snippets = re.findall(r"^```python\n(.*?)^```", TEST, re.MULTILINE | re.DOTALL)
    assert len(snippets) == 2
    (project.folder / "tests/test_shown.py").write_text(IMPORTS + "".join(snippets))
    assert "2 passed" in await project.run("python -m pytest -q -p no:cacheprovider tests/test_shown.py")


async def test_tests_run_as_the_page_says(project: Project, settings: Settings) -> None:
    names = ("broker_url", "broker_management_url", "database_url")
    (project.folder / ".datapunk").mkdir()
    variables = "".join(f"DATAPUNK_{name.upper()}={getattr(settings, name)}\n" for name in names)
    (project.folder / ".datapunk/endpoints.env").write_text(variables)
    await project.run("unset ${!DATAPUNK_*}")
    *first, alone = commands(TEST)
    await project.follow(first)
    assert "8 passed, 3 deselected" in await project.run(alone.command)
