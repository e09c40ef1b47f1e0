"""Rows that don't fit: each is kept in the reject file and among the dead letters, once, and loads when it's mended."""

from __future__ import annotations

import asyncio
import json
import signal
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from actors.lake.module import lake
from actors.nexus.module import nexus
from datapunk.client import Client
from datapunk.errors import QueryFailed
from datapunk.messages.outcome import Status
from datapunk.messages.registry import Registry
from datapunk.module import Module
from datapunk.settings import Settings
from datapunk.testing.platform import Platform
from datapunk.worker import prepare
from schemas.lake.commands import IngestFile
from schemas.lake.queries import GetIngestion, Ingestion
from schemas.lake.types import FileOptions, IngestionState
from schemas.nexus.commands import EditDeadLetter, RedriveDeadLetter
from schemas.nexus.queries import DeadLetterFound, DeadLetterPage, FindDeadLetters, GetDeadLetter
from schemas.nexus.types import DeadLetterState
from tests.loading_files import schema_of
from tests.workflows.lake.conftest import Datapunk
from tests.workflows.lake.test_ingest_file import OVER, folder, records
from tests.working import DEADLINE_S, eventually, worker_process

__all__ = ["folder"]  # a fixture

BAD_ROWS = 45
SCHEMA = schema_of(id="long", name="string")
RUN = ["actors.lake.module:lake,actors.nexus.module:nexus", "workflows"]


@pytest.fixture
def modules() -> list[Module]:
    return [lake, nexus]


async def over(client: Client, id: str) -> Ingestion:
    """An ingestion, once it's over."""

    async def look() -> Ingestion | None:
        try:
            found = await client.ask(GetIngestion(ingestion=id))
        except QueryFailed:  # not there yet
            return None
        assert isinstance(found, Ingestion)
        return found if found.state in OVER else None

    return await eventually(look, f"ingestion {id} is over")


async def parked(client: Client, count: int) -> list[DeadLetterFound]:
    """All dead letters that wait for a person, once there are so many and no others under way."""

    async def look() -> DeadLetterPage | None:
        page = await client.ask(FindDeadLetters())
        assert isinstance(page, DeadLetterPage)
        states = [each.state for each in page.letters]
        settled = [DeadLetterState.Parked] * count + [DeadLetterState.Resolved] * (len(states) - count)
        return page if sorted(states) == settled else None

    page = await eventually(look, f"{count} dead letters are parked")
    waiting = [each.id for each in page.letters if each.state is DeadLetterState.Parked]
    found = [await client.ask(GetDeadLetter(id=id)) for id in waiting]
    return [each for each in found if isinstance(each, DeadLetterFound)]


def rows_of(found: DeadLetterFound) -> list[dict[str, Any]]:
    return json.loads(found.body)["rows"]


async def mend(client: Client, found: DeadLetterFound, old: bytes, new: bytes) -> None:
    """Edit a letter and redrive it."""
    assert old in found.body
    for command in (EditDeadLetter(body=found.body.replace(old, new), by="ada"), RedriveDeadLetter(by="ada")):
        outcome = await client.send(command, str(found.summary.id))
        assert outcome.status is Status.Accepted, outcome.message


async def test_bad_rows_load_once_they_are_mended(platform_with_workflows: Platform, folder: Path) -> None:
    client = platform_with_workflows.client
    (folder / "towns.csv").write_text("id,name\n1,Oslo\nx,Bergen\ny,Molde\n")
    options = FileOptions(schema=SCHEMA, max_bad="2")
    await client.send(IngestFile(dataset="towns", source="towns.csv", options=options), "i")
    ingestion = await over(client, "i")
    assert (ingestion.state, ingestion.rows, ingestion.bad) == (IngestionState.COMPLETED, 1, 2)
    (first,) = await parked(client, 1)
    assert (first.letter.reason, first.letter.type, first.letter.actor) == ("bad_rows", "lake.IngestRows", "i:2")
    assert [(row["row"], row["column"], row["original"]) for row in rows_of(first)] == [
        (2, "id", "x,Bergen"),
        (3, "id", "y,Molde"),
    ]

    await mend(client, first, b"x,Bergen", b"2,Bergen")
    ingestion = await over(client, "i:2")
    assert (ingestion.state, ingestion.rows, ingestion.bad) == (IngestionState.COMPLETED, 1, 1)
    (second,) = await parked(client, 1)
    assert [(row["row"], row["original"]) for row in rows_of(second)] == [(3, "y,Molde")]

    await mend(client, second, b"y,Molde", b'3,\\"Molde')  # a quote that nothing closes
    assert (await over(client, "i:2:3")).code == "bad_file"
    (third,) = await parked(client, 1)
    assert "a quote is opened" in third.letter.message
    await mend(client, third, b'3,\\"Molde', b"3,Molde")
    ingestion = await over(client, "i:2:3:3")
    assert await records(platform_with_workflows, "towns", ingestion.position) == 3
    assert await parked(client, 0) == []


async def test_a_load_twice_has_its_bad_rows_once(
    datapunk: Datapunk, platform_with_workflows: Platform, tmp_path: Path
) -> None:
    (tmp_path / "towns.csv").write_text("id,name\n1,Oslo\nx,Bergen\n")
    (tmp_path / "more.csv").write_text("id,name\ny,Molde\n")
    (tmp_path / "towns.avsc").write_text(SCHEMA)
    for _ in range(2):
        arguments = ["towns.csv", "more.csv", "--schema", "towns.avsc", "--max-bad", "2", "--json"]
        with capture_logs():  # which would stand between the lines of a command
            answer = await datapunk("lake", "load", "towns", *arguments)
        assert (answer.json["records"], answer.json["bad"]) == (1, 2), answer.err
    found = await parked(platform_with_workflows.client, 2)
    assert sorted(row["original"] for each in found for row in rows_of(each)) == ["x,Bergen", "y,Molde"]


async def test_a_worker_killed_while_it_sets_rows_aside_neither_loses_nor_doubles_one(
    settings_with_temporal: Settings, folder: Path, tmp_path: Path
) -> None:
    settings, rejects, dies = settings_with_temporal, tmp_path / "rejects", tmp_path / "dies"
    rejects.mkdir()
    dies.touch()
    bad = [f"x{number},Town" for number in range(BAD_ROWS)]
    (folder / "towns.csv").write_text("\n".join(["id,name", "1,Oslo", *bad]))
    more = {
        "DATAPUNK_LAKE_FOLDERS": json.dumps([str(folder)]),
        "DATAPUNK_LAKE_REJECTS": str(rejects),
        "DIES_BETWEEN_LETTERS": str(dies),
    }
    main = {"main": "tests.dying_between_letters", "arguments": RUN, "more": more}
    await prepare([lake, nexus], settings)
    async with (
        Client(settings, Registry.of([lake, nexus])) as client,
        worker_process(settings, **main) as first,
    ):
        options = FileOptions(schema=SCHEMA, max_bad="100%")
        await client.send(IngestFile(dataset="towns", source="towns.csv", options=options), "i")
        async with asyncio.timeout(DEADLINE_S):
            assert await first.wait() == -signal.SIGKILL
        async with worker_process(settings, **main):
            assert (await over(client, "i")).state is IngestionState.COMPLETED
            found = await parked(client, -(-BAD_ROWS // 10))
    numbers = list(range(2, BAD_ROWS + 2))
    assert sorted(row["row"] for each in found for row in rows_of(each)) == numbers
    (file,) = rejects.iterdir()
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert [(line["row"], line["original"]) for line in lines] == list(zip(numbers, bad, strict=True))
