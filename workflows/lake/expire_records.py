"""Records that are older than their dataset keeps them, every hour: counted, and let go some thousand at a time."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from temporalio import activity, workflow
from temporalio.common import RetryPolicy

from datapunk.temporal import Platform, Schedule

if TYPE_CHECKING:
    from workflows.lake.expiring import Expiring

PAGE = 200  # datasets that are looked up at a time; then the workflow begins anew, with a short history
LOOKING = timedelta(minutes=5)
EXPIRING = timedelta(hours=12)  # for one dataset
SILENCE = timedelta(minutes=1)  # of an activity whose worker counts as dead then
PATIENCE = RetryPolicy(initial_interval=timedelta(seconds=1), maximum_interval=timedelta(minutes=1))


@dataclass(frozen=True)
class Place:
    """How far the list of datasets was gone through: the last one that was seen."""

    tenant: str
    dataset: str


@dataclass(frozen=True)
class Due:
    """A dataset whose records aren't kept for ever.

    Attributes:
        tenant: whose.
        dataset: its id.
        partitions: how many it has.
        field: from which on records are kept; none: from when they came.
        before: what is older goes; as ISO 8601 has it, since workflows have another class of datetime than activities.
    """

    tenant: str
    dataset: str
    partitions: int
    field: str | None
    before: str


class ExpiringRecords:
    """The activities. What is gone already they see for themselves."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._made: Expiring | None = None

    @activity.defn
    async def find_due(self, now: str, after: Place | None) -> list[Due]:
        """Datasets with a retention, a page of them."""
        return await self._expiring.find_due(datetime.fromisoformat(now), after, PAGE)

    @activity.defn
    async def expire(self, due: Due) -> int:
        """Let the old records of a dataset go; returns how many went."""
        return await self._expiring.expire(due)

    @property
    def _expiring(self) -> Expiring:
        if self._made is None:
            from workflows.lake.expiring import Expiring  # no workflow needs what it needs

            self._made = Expiring(self._platform)
        return self._made


@workflow.defn
class ExpireRecordsWorkflow:
    """All datasets, one after the other."""

    @workflow.run
    async def run(self, after: Place | None = None, so_far: int = 0) -> int:
        """Once; returns how many records went."""
        due = await workflow.execute_activity_method(
            ExpiringRecords.find_due,
            args=[workflow.now().isoformat(), after],
            start_to_close_timeout=LOOKING,
            retry_policy=PATIENCE,
        )
        for each in due:
            so_far += await workflow.execute_activity_method(
                ExpiringRecords.expire,
                each,
                start_to_close_timeout=EXPIRING,
                heartbeat_timeout=SILENCE,
                retry_policy=PATIENCE,
                summary=f"{each.tenant}/{each.dataset}",
            )
        if len(due) == PAGE:
            workflow.continue_as_new(args=[Place(due[-1].tenant, due[-1].dataset), so_far])
        return so_far


HOURLY = Schedule("expire_records", ExpireRecordsWorkflow, cron="40 * * * *")
