"""The conversation that the examples in every language have with Lake, and what it must come to."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any

from actors.lake.module import lake
from datapunk.settings import Settings
from tests.working import working

PATIENCE_S = 60.0


async def spoken(settings: Settings, command: Sequence[str], *arguments: str) -> dict[str, Any]:
    """What a program prints, by step, with Lake's worker running; it's run where it finds no package of ours."""
    async with working([lake], settings):
        process = await asyncio.create_subprocess_exec(
            *command,
            settings.broker_url,
            *arguments,
            cwd="/",
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            out, err = await asyncio.wait_for(process.communicate(), PATIENCE_S)
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
    assert process.returncode == 0, err.decode()
    return {line["step"]: line["result"] for line in map(json.loads, out.splitlines())}


def check_conversation(shown: dict[str, Any]) -> None:
    """Commands, a retry, a rejection, a failure, events and queries."""
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
