"""What README and tutorial show is what one gets: their commands are run, in order, on real servers."""

from __future__ import annotations

import asyncio
import re
import shlex
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from datapunk.module import find_modules
from datapunk.settings import Settings
from tests.command_line import ROOT, CommandLine
from tests.working import eventually, working

PAGES = ("README.md", "docs/tutorial/first-dataset.md")
RUN = ("datapunk send", "datapunk query", "id=")  # others don't end, or need what isn't started here
PATIENCE_S = 60.0  # for projections to catch up


@dataclass(frozen=True)
class Shown:
    """A command in a page, and what the page says that it prints."""

    command: str
    output: str


def shown_in(page: str) -> Iterator[Shown]:
    """The commands of the console blocks; one goes on as long as a quote is open."""
    for block in re.findall(r"^```console\n(.*?)^```", page, re.MULTILINE | re.DOTALL):
        for text in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            lines = text.splitlines(keepends=True)
            command = lines.pop(0)
            while is_open(command):
                command += lines.pop(0)
            yield Shown(command.strip(), "".join(lines).strip())


def is_open(command: str) -> bool:
    try:
        shlex.split(command)
    except ValueError:
        return True
    return False


def without_chance(output: str) -> str:
    """Without what differs from run to run: ids, positions, times."""
    output = re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}", "<id>", output.strip())
    output = re.sub(r"position \d+", "position <n>", output)
    return re.sub(r"\(\d+ ms\)", "(<n> ms)", output)


class Shell:
    """Runs commands one after another, as one terminal would."""

    def __init__(self, command_line: CommandLine) -> None:
        self.folder = command_line.folder
        self.environment = command_line.environment | {"COLUMNS": "200"}
        self.environment["PATH"] = f"{Path(sys.executable).parent}:{self.environment['PATH']}"

    async def run(self, command: str) -> str:
        """What it prints."""
        process = await asyncio.create_subprocess_exec(
            "bash",
            "-c",
            command,
            cwd=self.folder,
            env=self.environment,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        return (await process.communicate())[0].decode()

    async def assign(self, command: str) -> None:
        """Keep the variable of `name=…` for later commands."""
        name = command.partition("=")[0]
        self.environment[name] = (await self.run(f'{command}; echo "${name}"')).strip()


@pytest.mark.parametrize("page", PAGES)
async def test_commands_print_what_the_page_shows(page: str, settings: Settings, tmp_path: Path) -> None:
    text = (ROOT / page).read_text()
    for name, content in re.findall(r"file `([\w.]+)`:\n\n```json\n(.*?)```", text, re.DOTALL):
        (tmp_path / name).write_text(content)
    shown = [each for each in shown_in(text) if each.command.startswith(RUN)]
    assert len(shown) > 3
    shell = Shell(CommandLine(settings, tmp_path))
    async with working(list(find_modules(["lake"]).values()), settings):
        for each in shown:
            if each.command.startswith("id="):
                await shell.assign(each.command)
                continue
            wanted, printed = without_chance(each.output), without_chance(await shell.run(each.command))
            if each.command.startswith("datapunk query") and printed != wanted:

                async def is_as_shown(each: Shown = each, wanted: str = wanted) -> bool:
                    return without_chance(await shell.run(each.command)) == wanted

                await eventually(is_as_shown, f"{each.command} shows {each.output}", PATIENCE_S)
                continue
            assert printed == wanted, each.command


async def test_the_plain_client_in_the_readme_is_answered(settings: Settings, tmp_path: Path) -> None:
    (script,) = re.findall(
        r"^```python\n(import uuid.*?)^```", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL
    )
    script, replaced = re.subn(r'"amqp://[^"]+"', f'"{settings.broker_url}"', script)
    assert replaced == 1
    shell = Shell(CommandLine(settings, tmp_path))
    async with working(list(find_modules(["lake"]).values()), settings):
        created = next(each for each in shown_in((ROOT / "README.md").read_text()) if "CreateDataset" in each.command)
        await shell.run(created.command)
        answer = await shell.run(f"timeout {PATIENCE_S:g} python -c {shlex.quote(script)}")
    assert answer.startswith('datapunk.Outcome {"status":"Accepted"')
