"""Clients that know nothing but the wire's reference, against real servers."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

from datapunk.settings import Settings
from tests.wire.speaking import check_conversation, spoken

ROOT = Path(__file__).parent.parent.parent
EXAMPLES = ROOT / "examples" / "python"


def python(script: str) -> list[str]:
    """The command that runs a script apart from what is installed for us to import by its place."""
    return [sys.executable, "-I", str(EXAMPLES / script)]


@pytest.mark.parametrize("script", sorted(path.name for path in EXAMPLES.glob("*.py")))
def test_the_scripts_import_nothing_of_ours(script: str) -> None:
    tree = ast.parse((EXAMPLES / script).read_text())
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    imported |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    ours = {"datapunk", "actors", "schemas", "projections", "workflows", "tests", "examples"}
    assert not {name.partition(".")[0] for name in imported} & ours


async def test_commands_events_and_a_query_in_avro_json(settings: Settings) -> None:
    check_conversation(await spoken(settings, python("speak_json.py")))


async def test_commands_and_a_query_in_avro_binary(settings: Settings) -> None:
    folders = [str(ROOT / "schemas" / "lake" / kind) for kind in ("types", "commands", "queries")]
    folders.append(str(ROOT / "datapunk" / "messages" / "schemas"))
    shown = await spoken(settings, python("speak_binary.py"), *folders)

    assert shown["created"][0] == "datapunk.Outcome"
    assert shown["created"][1]["status"] == "Accepted"
    assert shown["appended"][1]["status"] == "Accepted"
    type, found = shown["found"]
    assert (type, found["summary"]["records"]) == ("lake.Dataset", 1)
    assert shown["unknown"][1]["code"] == "dataset_unknown"
