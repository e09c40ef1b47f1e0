"""docs/how-to/change-a-schema.md: each change is made as it says, on examples/orders with a history, which is read."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import fastavro
import pytest

from datapunk import background
from datapunk.messages.schema import parse_text
from datapunk.settings import Settings
from tests.command_line import ROOT
from tests.docs.pages import Shown, Terminal, Written, steps, terminal

EXAMPLE = ROOT / "examples/orders"
PAGE = (ROOT / "docs/how-to/change-a-schema.md").read_text()
SECTIONS = dict(re.findall(r"^## (.*?)\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL))
CHANGES = [title for title, text in SECTIONS.items() if "```console" in text]

# What is read of {"description": "2 tea"}, as version 1 of the event has it, after a change.
CREATED = {
    "Add a field": {"description": "2 tea", "note": ""},
    "Split a field": {"description": "2 tea", "quantity": 2, "product": "tea"},
}
# And of {"carrier": "DHL", "weight": 2}, as version 1 of the command has it.
SHIP = {
    "Rename a field": {"shipper": "DHL", "weight": 2},
    "Change a meaning": {"carrier": "DHL", "grams": 907},
}
READ = """
import sys
from datapunk.messages.registry import Registry
from datapunk.module import find_modules

registry = Registry.of(find_modules(["orders"]).values())
type, body, fingerprint = sys.argv[1:]
message = registry.decode(type, bytes.fromhex(body), "application/avro", fingerprint)
print(registry.encode(message).decode())
"""


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

    async def follow(self, section: str) -> None:
        """Do what a section of the page says."""
        for step in steps(SECTIONS[section], EXAMPLE):
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

    async def read(self, type: str, record: dict[str, Any]) -> dict[str, Any]:
        """A message that was written with the first released version, as it's read now."""
        name = type.rpartition(".")[2]
        schema = json.loads((self.folder / f"orders/released/{name}/1.avsc").read_text())
        body = self.folder.parent / "body"
        with body.open("wb") as file:
            fastavro.schemaless_writer(file, schema, record)
        listed = json.loads((await self.run("datapunk schemas list --root . --json")).splitlines()[0])
        assert {each["type"]: each for each in listed}[type]["version"] > 1
        fingerprint = first_fingerprint(self.folder, name)
        script = self.folder.parent / "read.py"
        script.write_text(READ)
        return json.loads(await self.run(f"python {script} {type} {body.read_bytes().hex()} {fingerprint}"))


def first_fingerprint(folder: Path, name: str) -> str:
    return parse_text((folder / f"orders/released/{name}/1.avsc").read_text()).fingerprint


@pytest.fixture
async def project(settings: Settings, tmp_path: Path) -> AsyncIterator[Project]:
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


def test_every_change_is_tried() -> None:
    assert set(CHANGES) == {*CREATED, *SHIP, "See what there is"}


async def test_what_there_is_is_shown(project: Project) -> None:
    await project.follow("See what there is")


@pytest.mark.parametrize("change", CREATED)
async def test_an_event_of_the_past_is_read_after_a_change(project: Project, change: str) -> None:
    create = """datapunk send orders.CreateOrder --actor 1001 --wait --data '{"description": "2 tea"}'"""
    await project.run("datapunk run orders --detach")
    await project.run(create)
    await project.run("datapunk down")

    await project.follow(change)

    recorded = json.loads((await project.run("datapunk events stream orders.order/1001 --json")).splitlines()[0])
    assert recorded["data"] == CREATED[change]
    await project.run("datapunk run orders --detach")  # the actor has its history, too
    assert "order_exists" in await project.run(f"{create} || true")


@pytest.mark.parametrize("change", SHIP)
async def test_a_command_of_the_past_is_read_after_a_change(project: Project, change: str) -> None:
    if "upcasters.py" in SECTIONS[change] and "module.py" not in SECTIONS[change]:  # "imported as above"
        (module,) = [each for each in steps(SECTIONS["Split a field"], EXAMPLE) if is_module(each)]
        project.edit(module)
    await project.follow(change)
    assert await project.read("orders.ShipOrder", {"carrier": "DHL", "weight": 2}) == SHIP[change]


def is_module(step: Shown | Written) -> bool:
    return isinstance(step, Written) and step.path == "orders/module.py"
