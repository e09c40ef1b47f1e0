"""docs/how-to/change-a-schema.md: each change is made as it says, on examples/orders with a history, which is read."""

from __future__ import annotations

import json
import re
from typing import Any

import fastavro
import pytest

from datapunk.messages.schema import parse_text
from tests.command_line import ROOT
from tests.docs.pages import Shown, Written, steps
from tests.docs.project import EXAMPLE, Project

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


async def read(project: Project, type: str, record: dict[str, Any]) -> dict[str, Any]:
    """A message that was written with the first released version, as it's read now."""
    name = type.rpartition(".")[2]
    schema = json.loads((project.folder / f"orders/released/{name}/1.avsc").read_text())
    body = project.folder.parent / "body"
    with body.open("wb") as file:
        fastavro.schemaless_writer(file, schema, record)
    listed = json.loads((await project.run("datapunk schemas list --root . --json")).splitlines()[0])
    assert {each["type"]: each for each in listed}[type]["version"] > 1
    fingerprint = parse_text((project.folder / f"orders/released/{name}/1.avsc").read_text()).fingerprint
    script = project.folder.parent / "read.py"
    script.write_text(READ)
    return json.loads(await project.run(f"python {script} {type} {body.read_bytes().hex()} {fingerprint}"))


def test_every_change_is_tried() -> None:
    assert set(CHANGES) == {*CREATED, *SHIP, "See what there is"}


async def test_what_there_is_is_shown(project: Project) -> None:
    await project.follow(steps(SECTIONS["See what there is"], EXAMPLE))


@pytest.mark.parametrize("change", CREATED)
async def test_an_event_of_the_past_is_read_after_a_change(project: Project, change: str) -> None:
    create = """datapunk send orders.CreateOrder --actor 1001 --wait --data '{"description": "2 tea"}'"""
    await project.run("datapunk run orders --detach")
    await project.run(create)
    await project.run("datapunk down")

    await project.follow(steps(SECTIONS[change], EXAMPLE))

    recorded = json.loads((await project.run("datapunk events stream orders.order/1001 --json")).splitlines()[0])
    assert recorded["data"] == CREATED[change]
    await project.run("datapunk run orders --detach")  # the actor has its history, too
    assert "order_exists" in await project.run(f"{create} || true")


@pytest.mark.parametrize("change", SHIP)
async def test_a_command_of_the_past_is_read_after_a_change(project: Project, change: str) -> None:
    if "upcasters.py" in SECTIONS[change] and "module.py" not in SECTIONS[change]:  # "imported as above"
        (module,) = [each for each in steps(SECTIONS["Split a field"], EXAMPLE) if is_module(each)]
        project.edit(module)
    await project.follow(steps(SECTIONS[change], EXAMPLE))
    assert await read(project, "orders.ShipOrder", {"carrier": "DHL", "weight": 2}) == SHIP[change]


def is_module(step: Shown | Written) -> bool:
    return isinstance(step, Written) and step.path == "orders/module.py"
