"""A file is ingested while the worker, Temporal, RabbitMQ and Postgres are killed: every row is there, once."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import psycopg
import pytest

from actors.lake.module import lake
from datapunk.client import Client
from datapunk.errors import BrokerError, QueryFailed
from datapunk.messages.registry import Registry
from datapunk.settings import Settings
from datapunk.worker import prepare
from schemas.lake.commands import IngestFile
from schemas.lake.queries import GetIngestion, Ingestion
from schemas.lake.types import IngestionState
from tests.own_stack import Place
from tests.working import eventually, worker_process

ROWS = 50_000
PATIENCE_S = 120.0
RUN = ["actors.lake.module:lake", "workflows"]


@pytest.mark.servers
async def test_every_row_of_a_file_is_there_once_whatever_is_killed(
    place: Place, settings_of_own_temporal: Settings, tmp_path: Path
) -> None:
    settings = settings_of_own_temporal
    rows = [(number, f"Town {number * 7919 % 104_729}") for number in range(ROWS)]
    (tmp_path / "towns.csv").write_text("id,name\n" + "".join(f"{id},{name}\n" for id, name in rows))
    more = {"DATAPUNK_LAKE_FOLDERS": json.dumps([str(tmp_path)])}
    await prepare([lake], settings)
    main = {"main": "tests.small_chunks", "arguments": RUN, "more": more}
    async with (
        worker_process(settings, **main) as first,
        worker_process(settings, **main),
        Client(settings, Registry.of([lake])) as client,
    ):
        await client.send(IngestFile(dataset="towns", source="towns.csv"), "i")
        await _further(client, 0)
        first.kill()
        for victim in ("temporal", "rabbitmq", "postgres"):
            before = await _look(client)
            assert before.state is IngestionState.RUNNING, f"it's over before {victim} was killed: give it more rows"
            await asyncio.to_thread(place.kill, victim)
            await _further(client, before.rows)

        async def is_over() -> bool:
            return (await _look(client)).state is not IngestionState.RUNNING

        await eventually(is_over, "the ingestion is over", PATIENCE_S)
        ingestion = await _look(client)
        assert (ingestion.state, ingestion.rows, ingestion.message) == (IngestionState.COMPLETED, ROWS, "")

        async def is_all_there() -> bool:
            return len(_stored(settings)) >= ROWS

        await eventually(is_all_there, "all rows are queryable", PATIENCE_S)
        assert _stored(settings) == rows


def _stored(settings: Settings) -> list[tuple[int, str]]:
    with psycopg.connect(settings.database_url) as conn:
        return conn.execute("select id, name from lake_records.records_1 order by id").fetchall()  # type: ignore[return-value]


async def _look(client: Client) -> Ingestion:
    while True:
        try:
            found = await client.ask(GetIngestion(ingestion="i"), timeout_s=5)
        except (BrokerError, QueryFailed):  # nobody there to ask, or nothing yet to tell
            await asyncio.sleep(0.1)
        else:
            assert isinstance(found, Ingestion)
            return found


async def _further(client: Client, than: int) -> int:
    """Wait until more rows are loaded, or all are."""

    async def look() -> int | None:
        ingestion = await _look(client)
        return ingestion.rows if ingestion.rows > than or ingestion.state is not IngestionState.RUNNING else None

    return await eventually(look, f"more than {than} rows are loaded", PATIENCE_S)
