"""`datapunk stream`: what people see and do with pipelines."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import jsonschema
import pytest

from actors.lake.module import lake
from actors.stream.module import stream
from datapunk.settings import Settings
from tests.command_line import CommandLine
from tests.working import working

READING = """{"type": "record", "name": "Reading", "fields": [
  {"name": "sensor", "type": "string"}, {"name": "celsius", "type": ["null", "double"]}]}"""
PIPELINE = """\
pipeline: warm
description: How warm it is.
source: {dataset: readings, out_of_order: 1m}
steps:
  - filter: celsius != null && celsius > -40.0
  - window: {tumbling: 1h, by: [sensor], aggregate: {n: count, mean: {avg: celsius}}}
sinks: [{topic: warm}]
"""


@pytest.fixture
def datapunk(settings: Settings, tmp_path: Path) -> CommandLine:
    return CommandLine(settings, tmp_path)


@pytest.fixture
def file(datapunk: CommandLine) -> Path:
    path = datapunk.folder / "warm.yaml"
    path.write_text(PIPELINE)
    return path


def write(path: Path, text: str) -> None:
    path.write_text(text)


@pytest.fixture
async def platform(settings: Settings, datapunk: CommandLine) -> AsyncIterator[None]:
    async with working([lake, stream], settings):
        made = json.dumps({"name": "Readings", "partitions": 1, "schema": json.loads(READING)})
        created = await datapunk("send", "lake.CreateDataset", "--actor", "readings", "--wait", "--data", made)
        assert created.status == 0, created.err + created.out
        yield


@pytest.mark.usefixtures("platform")
async def test_a_pipeline_is_planned_applied_changed_listed_and_steered(datapunk: CommandLine, file: Path) -> None:
    planned = (await datapunk("stream", "plan", file.name, "--json")).json
    assert planned["change"] == "new"
    assert planned["steps"][1]["fields"] == {
        "sensor": "string",
        "window_start": "timestamp",
        "window_end": "timestamp",
        "n": "int",
        "mean": "double?",
    }

    applied = await datapunk("stream", "apply", file.name)
    assert (applied.out, applied.err) == ("defined warm\n", "")
    assert (await datapunk("stream", "apply", file.name)).out == "unchanged warm\n"

    write(file, PIPELINE.replace("1h", "2h"))
    difference = (await datapunk("stream", "diff", file.name)).out
    assert "-  - window: {tumbling: 1h" in difference
    assert "+  - window: {tumbling: 2h" in difference
    assert "warm: version 1 → 2" in (await datapunk("stream", "plan", file.name)).out
    assert (await datapunk("stream", "apply", file.name, "--json")).json == {"pipeline": "warm", "changed": True}

    assert (await datapunk("stream", "pause", "warm", "--why", "mending")).out == "paused warm\n"
    (listed,) = (await datapunk("stream", "list", "--json")).json
    assert (listed["pipeline"], listed["version"], listed["state"], listed["reason"]) == (
        "warm",
        2,
        "Paused",
        "mending",
    )
    first = await datapunk("stream", "show", "warm", "--version", "1")
    assert "tumbling: 1h" in first.out
    assert "results have: sensor, window_start, window_end, n, mean" in first.out

    assert (await datapunk("stream", "stop", "warm")).out == "stopped warm\n"
    refused = await datapunk("stream", "apply", file.name)
    assert (refused.status, refused.err) == (
        3,
        "pipeline_stopped: pipeline warm has stopped for good; define one with another id\n",
    )


@pytest.mark.usefixtures("platform")
async def test_a_dataset_that_isn_t_there_is_told_with_its_place(datapunk: CommandLine, file: Path) -> None:
    write(file, PIPELINE.replace("dataset: readings", "dataset: reading"))
    ended = await datapunk("stream", "validate", file.name)
    assert ended.status == 1
    assert ended.err.startswith("warm.yaml:3:19: there is no dataset 'reading'; did you mean readings?\n    source:")


async def test_a_definition_is_checked_without_a_platform(datapunk: CommandLine, file: Path) -> None:
    write(datapunk.folder / "readings.avsc", READING)
    given = ("--dataset", "readings=readings.avsc")
    nowhere = {"DATAPUNK_BROKER_URL": "amqp://127.0.0.1:1/"}
    assert (await datapunk("stream", "validate", file.name, *given, **nowhere)).out == "valid warm: 2 steps\n"

    write(file, PIPELINE.replace("celsius > -40.0", "celsius > -40").replace("avg: celsius", "avg: sensor"))
    ended = await datapunk("stream", "validate", file.name, *given, "--json", **nowhere)
    assert ended.status == 1
    assert [(each["line"], each["column"]) for each in ended.json["problems"]] == [(5, 40), (6, 76)]


async def test_events_of_installed_modules_are_known(datapunk: CommandLine) -> None:
    text = (
        "pipeline: renamed\nsource: {events: lake.*.DatasetRenamed}\n"
        "steps:\n  - filter: size(nam) > 3 && _actor != ''\nsinks: [{topic: t}]\n"
    )
    ended = await datapunk("stream", "validate", "-", input=text.encode())
    assert "standard input:4:18: there is no field 'nam' here; did you mean name?" in ended.err


async def test_the_json_schema_is_printed(datapunk: CommandLine) -> None:
    jsonschema.Draft202012Validator.check_schema(json.loads((await datapunk("stream", "schema")).out))
