"""`datapunk schemas`, as authors and CI use it: on a copy of real schemas, from the command line."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from contextlib import chdir
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from typer.testing import CliRunner

from datapunk.cli.main import app

REPOSITORY = Path(__file__).parents[3]


class Done(NamedTuple):
    """What came of a command."""

    returncode: int
    stdout: str
    stderr: str


class Workshop:
    """A folder with Lake's schemas, where commands are run."""

    def __init__(self, home: Path) -> None:
        self.home = home
        shutil.copytree(REPOSITORY / "schemas", home / "schemas", ignore=shutil.ignore_patterns("__pycache__"))

    @property
    def messages(self) -> int:
        """How many there are."""
        folders = ("commands", "events", "queries", "tasks")
        return sum(len(list((self.home / "schemas").glob(f"*/{folder}/*.avsc"))) for folder in folders)

    def run(self, *arguments: str) -> Done:
        """`datapunk schemas …`, in this process."""
        with chdir(self.home):
            result = CliRunner().invoke(app, ["schemas", *arguments])
        return Done(result.exit_code, result.stdout, result.stderr)

    def run_alone(self, *arguments: str) -> Done:
        """The same in a process of its own, which finds modules in the folder."""
        command = [sys.executable, "-m", "datapunk.cli.main", "schemas", *arguments]
        done = subprocess.run(command, cwd=self.home, capture_output=True, text=True, timeout=60)
        return Done(done.returncode, done.stdout, done.stderr)

    def check(self) -> str:
        """What it complains of; nothing if all is well."""
        done = self.run("check")
        assert (done.returncode == 0) == (done.stderr == "")
        return done.stderr

    def edit(self, name: str, change: Any) -> None:
        """Change a definition in place, as in an editor."""
        file = self.home / "schemas" / "lake" / f"{name}.avsc"
        definition = json.loads(file.read_text())
        change(definition)
        file.write_text(json.dumps(definition))
        self.run("generate")


@pytest.fixture
def workshop(tmp_path: Path) -> Workshop:
    return Workshop(tmp_path)


def add(**field: Any) -> Any:
    return lambda definition: definition["fields"].append(field)


def test_what_is_released_and_generated_passes(workshop: Workshop) -> None:
    done = workshop.run("check")
    assert (done.returncode, done.stderr) == (0, "")
    assert f"{workshop.messages} schemas: classes are up to date, and every change is compatible" in done.stdout


def test_a_field_with_a_default_may_be_added(workshop: Workshop) -> None:
    workshop.edit("events/DatasetRenamed", add(name="by", type="string", default=""))
    assert workshop.check() == ""


def test_a_field_without_a_default_may_not_be_added(workshop: Workshop) -> None:
    workshop.edit("events/DatasetRenamed", add(name="by", type="string"))
    assert (
        "schemas/lake/events/DatasetRenamed.avsc: lake.DatasetRenamed can't read messages of version 1: "
        "DatasetRenamed.by: it isn't in what was written, and has no default" in workshop.check()
    )


def test_a_field_of_an_event_may_not_go_if_old_readers_need_it(workshop: Workshop) -> None:
    workshop.edit("events/DatasetRenamed", lambda definition: definition["fields"].pop(0))
    said = workshop.check()
    assert "DatasetRenamed.avsc: readers of version 1 can't read the present lake.DatasetRenamed" in said
    assert "docs/how-to/change-a-schema.md" in said


def test_a_type_may_not_change_to_another(workshop: Workshop) -> None:
    def change(definition: dict[str, Any]) -> None:
        definition["fields"][0]["type"] = "int"

    workshop.edit("commands/RenameDataset", change)
    assert "schemas/lake/commands/RenameDataset.avsc" in workshop.check()
    assert "RenameDataset.name: string can't become int" in workshop.check()


def test_a_schema_that_is_none_is_named_with_its_file(workshop: Workshop) -> None:
    workshop.edit("commands/RenameDataset", add(name="a b", type="string"))
    said = workshop.check()
    assert "schemas/lake/commands/RenameDataset.avsc" in said
    assert "'a b' can't be a field's name" in said


def test_a_new_message_must_be_released(workshop: Workshop) -> None:
    file = workshop.home / "schemas" / "lake" / "events" / "DatasetCopied.avsc"
    file.write_text('{"type": "record", "name": "DatasetCopied", "namespace": "lake", "fields": []}')
    workshop.run("generate")
    assert (
        "DatasetCopied.avsc: lake.DatasetCopied was never released; run `datapunk schemas release`" in workshop.check()
    )
    assert workshop.run("release").returncode == 0
    assert workshop.check() == ""


@pytest.mark.parametrize("folder", ["commands", "events", "queries", "types"])
def test_classes_that_differ_from_their_schemas_are_named(workshop: Workshop, folder: str) -> None:
    path = Path("schemas") / "lake" / folder / "__init__.py"
    with (workshop.home / path).open("a") as file:
        file.write("# by hand\n")
    assert f"{path} isn't what its .avsc files say; run `datapunk schemas generate`" in workshop.check()
    assert workshop.run("generate").stdout == f"wrote {path}\n1 files written\n"
    assert workshop.check() == ""


def test_generating_twice_writes_once(workshop: Workshop) -> None:
    assert workshop.run("generate").stdout == "everything is up to date\n"


def test_problems_come_as_json_too(workshop: Workshop) -> None:
    workshop.edit("events/DatasetRenamed", add(name="by", type="string"))
    done = workshop.run("check", "--json")
    assert done.returncode == 1
    result = json.loads(done.stdout)
    assert result["checked"] == workshop.messages
    assert len(result["problems"]) == 1


def test_a_released_version_is_kept_and_shown(workshop: Workshop) -> None:
    workshop.edit("events/DatasetRenamed", add(name="by", type="string", default=""))
    history = workshop.home / "schemas" / "lake" / "released" / "DatasetRenamed"
    first = (history / "1.avsc").read_text()
    assert (
        "released lake.DatasetRenamed as schemas/lake/released/DatasetRenamed/2.avsc" in workshop.run("release").stdout
    )
    assert (history / "1.avsc").read_text() == first
    assert workshop.run("release").stdout == "nothing new to release\n"
    shown = {version: workshop.run("show", "lake.DatasetRenamed", "--version", version).stdout for version in "12"}
    assert ('"by"' in shown["1"], '"by"' in shown["2"]) == (False, True)
    assert json.loads(shown["2"]) == json.loads(workshop.run("show", "lake.DatasetRenamed").stdout)


def test_nothing_is_released_while_anything_is_incompatible(workshop: Workshop) -> None:
    workshop.edit("events/DatasetDeleted", add(name="by", type="string", default=""))
    workshop.edit("events/DatasetRenamed", add(name="by", type="string"))
    done = workshop.run("release")
    assert done.returncode == 1
    assert "nothing was released: schemas/lake/events/DatasetRenamed.avsc" in done.stderr
    assert not (workshop.home / "schemas/lake/released/DatasetDeleted/2.avsc").exists()


def test_the_list_has_versions_and_fingerprints(workshop: Workshop) -> None:
    workshop.edit("events/DatasetRenamed", add(name="by", type="string", default=""))
    rows = {row["type"]: row for row in json.loads(workshop.run("list", "--json").stdout)}
    renamed, deleted = rows["lake.DatasetRenamed"], rows["lake.DatasetDeleted"]
    assert (renamed["kind"], renamed["version"], renamed["released"]) == ("events", 2, False)
    assert (deleted["version"], deleted["released"]) == (1, True)
    assert len(renamed["fingerprint"]) == 16
    assert "2 (new)" in workshop.run("list").stdout


def test_what_is_not_there_is_said(workshop: Workshop) -> None:
    assert "no message 'lake.Nothing'; see: datapunk schemas list" in workshop.run("show", "lake.Nothing").stderr
    assert "has 2 released versions" in workshop.run("show", "lake.Dataset", "--version", "7").stderr
    assert "there is no folder nowhere" in workshop.run("check", "--root", "nowhere").stderr


def test_an_upcaster_of_an_installed_module_allows_what_resolution_can_not(workshop: Workshop) -> None:
    def rename(definition: dict[str, Any]) -> None:
        definition["fields"][0]["name"] = "title"

    workshop.edit("commands/RenameDataset", rename)
    assert "RenameDataset.title: it isn't in what was written" in workshop.check()
    (workshop.home / "shop.py").write_text(
        "from datapunk import Module\n"
        "from datapunk.messages.upcasters import upcasts\n"
        "from schemas.lake.commands import RenameDataset\n"
        "@upcasts(RenameDataset, from_version=1)\n"
        "def title_from_name(old):\n"
        "    return {'title': old['name']}\n"
        "shop = Module(name='shop', schemas='schemas.lake')\n"
    )
    installed = workshop.home / "shop-1.dist-info"
    installed.mkdir()
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: shop\nVersion: 1\n")
    (installed / "entry_points.txt").write_text("[datapunk.modules]\nshop = shop:shop\n")
    assert workshop.run_alone("check").stderr == ""
