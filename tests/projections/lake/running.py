"""Lake as its users meet it: commands and queries over the broker, rows from the projections."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

from actors.lake.module import lake
from actors.lake.partition import partition_of
from datapunk.client import Client
from datapunk.messages.message import Command
from datapunk.messages.outcome import Outcome, Status
from datapunk.settings import Settings
from schemas.lake.commands import AppendRecords, CreateDataset
from schemas.lake.queries import FindRecords, RecordPage
from schemas.lake.types import Filter, Order
from tests.working import working

Json = Any
PATIENCE_S = 60.0  # a projection that is stuck shows as a query that isn't answered in time


class Lake:
    """A client, and the position of the latest event that it caused."""

    def __init__(self, client: Client, tenant: str = "default") -> None:
        self.client = client
        self.tenant = tenant
        self.position = 0

    async def send(self, command: Command, id: str) -> Outcome:
        """Send a command; its outcome may be a rejection."""
        outcome = await self.client.send(command, id, tenant=self.tenant)
        self.position = max(self.position, outcome.position)
        return outcome

    async def create(self, fields: Sequence[Json], *, id: str | None = None, **options: Any) -> str:
        """Create a dataset of these fields; returns its id."""
        id = id or f"d{uuid4().hex}"
        schema = json.dumps({"type": "record", "name": "Row", "namespace": "test", "fields": list(fields)})
        outcome = await self.send(CreateDataset(**{"name": id, "schema": schema, "partitions": 1, **options}), id)
        assert outcome.status is Status.Accepted, outcome.message
        return id

    async def append(self, dataset: str, records: Sequence[Json], partition: int = 0) -> None:
        """Append records to a partition."""
        outcome = await self.send(AppendRecords(records=json.dumps(records)), f"{dataset}:{partition}")
        assert outcome.status is Status.Accepted, outcome.message

    async def append_by_key(self, dataset: str, key: str, records: Sequence[Json], partitions: int) -> None:
        """Append records, each to the partition of its key."""
        shares: dict[int, list[Json]] = {}
        for record in records:
            shares.setdefault(partition_of(record[key], partitions), []).append(record)
        for partition, share in shares.items():
            await self.append(dataset, share, partition)

    async def page(
        self,
        dataset: str,
        where: Sequence[Filter] = (),
        order: Sequence[Order] = (),
        limit: int = 10_000,
        after: str | None = None,
    ) -> RecordPage:
        """One page, which has all that this client wrote."""
        query = FindRecords(dataset=dataset, where=list(where), order=list(order), limit=limit, after=after)
        page = await self.client.ask(query, tenant=self.tenant, after_position=self.position, timeout_s=PATIENCE_S)
        assert isinstance(page, RecordPage)
        return page

    async def find(self, dataset: str, *where: Filter, order: Sequence[Order] = (), limit: int = 10_000) -> list[Json]:
        """All records that meet these conditions, page by page."""
        found: list[Json] = []
        after: str | None = None
        while True:
            page = await self.page(dataset, where, order, limit, after)
            records = json.loads(page.records)
            assert len(records) == page.count <= limit
            found += records
            after = page.next
            if after is None:
                return found


@asynccontextmanager
async def running_lake(settings: Settings) -> AsyncIterator[Lake]:
    """A worker that runs Lake, and a client."""
    async with working([lake], settings.model_copy(update={"query_timeout_s": PATIENCE_S})) as client:
        yield Lake(client)
