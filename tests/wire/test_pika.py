"""Clients that know nothing but the wire's reference, against real servers."""

from __future__ import annotations

import ast
import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from actors.lake.module import lake
from datapunk.settings import Settings
from tests.working import working

ROOT = Path(__file__).parent.parent.parent
EXAMPLES = ROOT / "examples" / "python"
PATIENCE_S = 60.0


async def run(settings: Settings, script: str, *arguments: str) -> dict[str, Any]:
    """What a script prints, by step, with Lake's worker running; it finds no package of ours."""
    async with working([lake], settings):
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-I",
            str(EXAMPLES / script),
            settings.broker_url,
            *arguments,
            cwd="/",
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await asyncio.wait_for(process.communicate(), PATIENCE_S)
    assert process.returncode == 0, err.decode()
    return {line["step"]: line["result"] for line in map(json.loads, out.splitlines())}


@pytest.mark.parametrize("script", sorted(path.name for path in EXAMPLES.glob("*.py")))
def test_the_scripts_import_nothing_of_ours(script: str) -> None:
    tree = ast.parse((EXAMPLES / script).read_text())
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    imported |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    ours = {"datapunk", "actors", "schemas", "projections", "workflows", "tests", "examples"}
    assert not {name.partition(".")[0] for name in imported} & ours


async def test_commands_events_and_a_query_in_avro_json(settings: Settings) -> None:
    shown = await run(settings, "speak_json.py")

    created = shown["created"]
    assert (created["status"], created["version"]) == ("Accepted", 1)
    assert shown["retried"] == created
    assert (shown["rejected"]["status"], shown["rejected"]["code"]) == ("Rejected", "dataset_exists")
    assert (shown["failed"]["status"], shown["failed"]["code"]) == ("Failed", "undecodable")

    appended = shown["appended"]
    assert appended["status"] == "Accepted"
    first, last = shown["events"]
    assert (first["routing_key"], first["version"]) == ("default.lake.dataset.DatasetCreated", 1)
    assert {"string": first["caused_by"]} == created["command_id"]
    assert (last["type"], last["position"]) == ("lake.RecordsAppended", appended["position"])
    assert last["data"]["count"] == 2

    type, page = shown["found"]
    assert (type, page["count"]) == ("lake.RecordPage", 1)
    assert json.loads(page["records"]) == [{"station": "KJFK", "celsius": 3.9, "at": "2013-01-01T10:00:00Z"}]
    assert shown["unknown"][0] == "datapunk.Outcome"
    assert shown["unknown"][1]["code"] == "dataset_unknown"


async def test_commands_and_a_query_in_avro_binary(settings: Settings) -> None:
    folders = [str(ROOT / "schemas" / "lake" / kind) for kind in ("types", "commands", "queries")]
    shown = await run(settings, "speak_binary.py", *folders, str(ROOT / "datapunk" / "messages" / "schemas"))

    assert shown["created"][0] == "datapunk.Outcome"
    assert shown["created"][1]["status"] == "Accepted"
    assert shown["appended"][1]["status"] == "Accepted"
    type, found = shown["found"]
    assert (type, found["summary"]["records"]) == ("lake.Dataset", 1)
    assert shown["unknown"][1]["code"] == "dataset_unknown"
