"""What README and tutorial show is what one gets: their commands are run, in order, on real servers."""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path

import pytest

from datapunk.module import find_modules
from datapunk.settings import Settings
from tests.command_line import ROOT, CommandLine
from tests.docs.pages import PATIENCE_S, shown_in, terminal
from tests.working import working

PAGES = ("README.md", "docs/tutorial/first-dataset.md")
RUN = ("datapunk send", "datapunk query", "id=")  # others don't end, or need what isn't started here


def environment_of(command_line: CommandLine) -> dict[str, str]:
    """With `datapunk` and `python` where a terminal finds them."""
    path = f"{Path(sys.executable).parent}:{command_line.environment['PATH']}"
    return command_line.environment | {"COLUMNS": "200", "PATH": path}


@pytest.mark.parametrize("page", PAGES)
async def test_commands_print_what_the_page_shows(page: str, settings: Settings, tmp_path: Path) -> None:
    text = (ROOT / page).read_text()
    for name, content in re.findall(r"file `([\w.]+)`:\n\n```json\n(.*?)```", text, re.DOTALL):
        (tmp_path / name).write_text(content)
    shown = [each for each in shown_in(text) if each.command.startswith(RUN)]
    assert len(shown) > 3
    environment = environment_of(CommandLine(settings, tmp_path))
    async with (
        working(list(find_modules(["lake"]).values()), settings),
        terminal(tmp_path, environment) as reader,
    ):
        for each in shown:
            await reader.do(each)


async def test_the_plain_client_in_the_readme_is_answered(settings: Settings, tmp_path: Path) -> None:
    (script,) = re.findall(
        r"^```python\n(import uuid.*?)^```", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL
    )
    script, replaced = re.subn(r'"amqp://[^"]+"', f'"{settings.broker_url}"', script)
    assert replaced == 1
    environment = environment_of(CommandLine(settings, tmp_path))
    async with (
        working(list(find_modules(["lake"]).values()), settings),
        terminal(tmp_path, environment) as reader,
    ):
        created = next(each for each in shown_in((ROOT / "README.md").read_text()) if "CreateDataset" in each.command)
        await reader.do(created)
        _, answer = await reader.run(f"timeout {PATIENCE_S:g} python -c {shlex.quote(script)}")
    assert answer.startswith('datapunk.Outcome {"status":"Accepted"')
