"""The workflow alone, at a real Temporal: long files make it begin anew, and each part is loaded all the same."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from uuid import uuid4

import pytest
from temporalio import activity
from temporalio.client import Client as TemporalClient
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from actors.lake.module import lake
from datapunk.messages.message import Command
from datapunk.messages.outcome import Outcome, Status
from datapunk.messages.registry import Registry
from datapunk.projection import Recorded
from datapunk.settings import Settings
from datapunk.temporal.connection import connect
from datapunk.temporal.sending import SEND, Address
from schemas.lake.commands import CompleteIngestion
from schemas.lake.events import IngestionPaused, IngestionRequested, IngestionResumed
from schemas.lake.types import FileOptions
from tests.working import eventually
from workflows.lake import ingest_file
from workflows.lake.ingest_file import Done, IngestFileWorkflow, Prepared, Request

PARTS = 7
REQUESTED = IngestionRequested(dataset="towns", source="towns.csv", options=FileOptions())


class Fakes:
    """A file of seven parts, one row each, and somebody who takes commands."""

    def __init__(self) -> None:
        self.loaded: list[int] = []
        self.sent: list[Command] = []
        self.digests = ["d"]

    @activity.defn
    async def look_through(self, request: Request) -> Prepared:
        digest = self.digests.pop(0) if len(self.digests) > 1 else self.digests[0]
        return Prepared("{}", None, 1, [], digest, PARTS, 0, "[]", [[[number, 0, 0, 1]] for number in range(PARTS)])

    @activity.defn
    async def load_part(self, request: Request, prepared: Prepared, chunks: list[list[int]]) -> Done:
        self.loaded.append(chunks[0][0])
        return Done(1, chunks[0][0])

    @activity.defn(name=SEND)
    async def send(self, command: Command, address: Address) -> Outcome:
        self.sent.append(command)
        return Outcome(status=Status.Accepted)


@pytest.fixture
async def temporal(settings_with_temporal: Settings) -> TemporalClient:
    return await connect(settings_with_temporal, Registry.of([lake]))


def recorded(event: object) -> Recorded:  # type: ignore[type-arg]
    return Recorded(event, 1, "default", "i", 1, datetime.now(UTC))  # type: ignore[arg-type]


async def run(temporal: TemporalClient, fakes: Fakes, *, pausing: bool = False) -> Done:
    queue = uuid4().hex
    activities = [fakes.look_through, fakes.load_part, fakes.send]
    runner = UnsandboxedWorkflowRunner()
    async with (
        asyncio.timeout(60),
        Worker(
            temporal, task_queue=queue, workflows=[IngestFileWorkflow], activities=activities, workflow_runner=runner
        ),
    ):
        handle = await temporal.start_workflow(
            IngestFileWorkflow.run,
            recorded(REQUESTED),
            id=queue,
            task_queue=queue,
            start_signal="paused" if pausing else None,
            start_signal_args=[recorded(IngestionPaused())] if pausing else [],
        )
        if pausing:

            async def is_looked_through() -> bool:
                return (await handle.query(IngestFileWorkflow.progress))["of"] > 0

            await eventually(is_looked_through, "the file is looked through")
            assert fakes.loaded == []
            await handle.signal(IngestFileWorkflow.resumed, recorded(IngestionResumed()))
        return await handle.result()


async def test_a_long_file_is_loaded_in_several_runs(temporal: TemporalClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ingest_file, "PARTS_A_RUN", 3)
    fakes = Fakes()
    assert await run(temporal, fakes) == Done(PARTS, PARTS - 1)
    assert sorted(fakes.loaded) == list(range(PARTS))
    assert fakes.sent[-1] == CompleteIngestion(rows=PARTS, total=PARTS, bad=0, position=PARTS - 1)


async def test_a_file_that_changes_between_two_runs_is_not_loaded_further(
    temporal: TemporalClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ingest_file, "PARTS_A_RUN", 3)
    fakes = Fakes()
    fakes.digests = ["d", "e"]
    await run(temporal, fakes)
    assert sorted(fakes.loaded) == [0, 1, 2]
    assert getattr(fakes.sent[-1], "code", None) == "file_changed"


async def test_while_it_is_paused_no_part_is_begun(temporal: TemporalClient) -> None:
    fakes = Fakes()
    assert await run(temporal, fakes, pausing=True) == Done(PARTS, PARTS - 1)
