"""Retention against a model: whatever comes, goes and fails, old rows are gone, others stay, and a rebuild agrees."""

from __future__ import annotations

from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import rule
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from actors.lake.module import lake
from datapunk.client import Client
from datapunk.comparison import compare
from datapunk.errors import ConnectionLost
from datapunk.messages.message import Command
from datapunk.messages.outcome import Outcome
from datapunk.messages.registry import Registry
from datapunk.settings import Settings
from datapunk.temporal import Platform
from projections.lake.datasets import Datasets
from projections.lake.records import Records
from schemas.lake.commands import ExpireRecords, SetRetention
from schemas.lake.queries import Dataset, GetDataset
from tests.projections.lake.running import Lake, running_lake
from tests.state_machine import MachineOnServers, run_on_servers
from workflows.lake import expiring
from workflows.lake.expire_records import Due
from workflows.lake.expiring import Expiring

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
FIELDS = [
    {"name": "number", "type": "long"},
    {"name": "day", "type": ["null", {"type": "int", "logicalType": "date"}]},
    {"name": "at", "type": {"type": "long", "logicalType": "timestamp-millis"}},
    {"name": "local", "type": {"type": "long", "logicalType": "local-timestamp-micros"}},
]
PARTITIONS = 2
REGISTRY = Registry.of([lake])
plans: list[str] = []  # what goes wrong with the next shares that are let go

days = st.integers(0, 9)


class Unreliable(Client):
    """Fails as planned, before a share is let go, or after."""

    async def send(self, command: Command, actor_id: str, **more: Any) -> Outcome:
        fault = plans.pop(0) if plans and isinstance(command, ExpireRecords) else ""
        if fault == "before":
            raise ConnectionLost("as planned")
        outcome = await super().send(command, actor_id, **more)
        if fault == "after":
            raise ConnectionLost("as planned")
        return outcome


@dataclass(frozen=True)
class Row:
    """A record, and when it had come."""

    number: int
    day: int | None
    at: int
    came: datetime


class Retention(MachineOnServers):
    """A dataset that is written to and kept by one rule or another."""

    lake: Lake
    expiring: Expiring

    @classmethod
    async def enter(cls, stack: AsyncExitStack) -> None:
        """Lake at work; in the end a replay of all that happened must give the same tables."""
        cls.lake = await stack.enter_async_context(running_lake(cls.settings))
        stack.push_async_callback(cls.compare)
        client = await stack.enter_async_context(Unreliable(cls.settings, REGISTRY))
        cls.expiring = Expiring(Platform(cls.settings, REGISTRY, client, None))  # type: ignore[arg-type]

    @classmethod
    async def compare(cls) -> None:
        for projection in (Datasets(), Records()):
            comparison = await compare(projection, REGISTRY, cls.settings)
            assert comparison.is_equal, comparison

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[Row] = []
        self.moments = [datetime.now(UTC)]
        self.written = 0
        self.dataset = self.run(self.lake.create(FIELDS, partitions=PARTITIONS))

    @rule(
        partition=st.integers(0, PARTITIONS - 1),
        rows=st.lists(st.tuples(st.none() | days, days), min_size=1, max_size=7),
    )
    def append(self, partition: int, rows: list[tuple[int | None, int]]) -> None:
        records = []
        for day, at in rows:
            self.written += 1
            moment = at * 86_400
            records.append(
                {
                    "number": self.written,
                    "day": None if day is None else {"int": day},
                    "at": moment * 1_000,
                    "local": moment * 1_000_000,
                }
            )
        self.run(self.lake.append(self.dataset, records, partition))
        self.moments.append(datetime.now(UTC))
        self.rows += [
            Row(record["number"], day, at, self.moments[-1]) for record, (day, at) in zip(records, rows, strict=True)
        ]

    @rule(back=st.integers(0, 3), faults=st.lists(st.sampled_from(["before", "after", ""]), max_size=3))
    def expire_by_age(self, back: int, faults: list[str]) -> None:
        before = self.moments[-1 - min(back, len(self.moments) - 1)]
        self.run(self.expire(None, before, faults))
        self.rows = [row for row in self.rows if row.came > before]

    @rule(
        day=days,
        field=st.sampled_from(["day", "at", "local"]),
        faults=st.lists(st.sampled_from(["before", "after", ""]), max_size=3),
    )
    def expire_by_field(self, day: int, field: str, faults: list[str]) -> None:
        self.run(self.expire(field, EPOCH + timedelta(days=day), faults))
        values = {row: row.day if field == "day" else row.at for row in self.rows}
        self.rows = [row for row, value in values.items() if value is None or value >= day]

    @rule()
    def look(self) -> None:
        found = self.run(self.lake.find(self.dataset))
        assert sorted(record["number"] for record in found) == [row.number for row in self.rows]
        dataset = self.run(self.lake.client.ask(GetDataset(dataset=self.dataset), after_position=self.lake.position))
        assert isinstance(dataset, Dataset)
        assert dataset.summary.records == len(self.rows)

    def teardown(self) -> None:
        self.look()

    async def expire(self, field: str | None, before: datetime, faults: list[str]) -> None:
        """Until it succeeds, as Temporal would."""
        await self.lake.send(SetRetention(days=1, field=field), self.dataset)
        plans[:] = faults
        due = Due(self.lake.tenant, self.dataset, PARTITIONS, field, before.isoformat())
        while True:
            try:
                await ActivityEnvironment().run(self.expiring.expire, due)
            except (ConnectionLost, ApplicationError):  # the latter if it was counted while rows went
                continue
            break
        plans.clear()


def test_what_is_old_goes_and_all_else_stays(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(expiring, "BATCH", 3)
    run_on_servers(Retention, settings, usually=8, steps=12)
