"""When workflows run by the clock: declared beside them, and brought to Temporal by the workers.

NIGHTLY = Schedule("report", WriteReport, cron="30 3 * * *")
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from temporalio.client import (
    Client,
    ScheduleActionStartWorkflow,
    ScheduleAlreadyRunningError,
    ScheduleIntervalSpec,
    SchedulePolicy,
    ScheduleSpec,
    ScheduleUpdate,
    ScheduleUpdateInput,
)
from temporalio.client import Schedule as TemporalSchedule
from temporalio.common import SearchAttributePair, TypedSearchAttributes
from temporalio.service import RPCError, RPCStatusCode

from datapunk.errors import ConfigurationError
from datapunk.telemetry.logs import get_logger
from datapunk.temporal.attributes import MODULE
from datapunk.temporal.calling import task_queue

CATCH_UP = timedelta(hours=1)  # what was missed while Temporal was down for longer isn't made up for

log = get_logger(__name__)


@dataclass(frozen=True)
class Schedule:
    """When a workflow of the same module runs; while one run is under way, none begins.

    Attributes:
        id: tells it from the module's others; Temporal knows it as `<module>.<id>`.
        workflow: the class.
        cron: as in `30 3 * * *`, of UTC.
        every: or: the time between two runs.
        arguments: of its `run`.
    """

    id: str
    workflow: type
    cron: str | None = None
    every: timedelta | None = None
    arguments: Sequence[Any] = ()

    def __post_init__(self) -> None:
        if (self.cron is None) == (self.every is None):
            raise ConfigurationError(f"the schedule {self.id!r} needs either `cron` or `every`")


async def apply_schedules(temporal: Client, module: str, schedules: Iterable[Schedule]) -> None:
    """Make a module's schedules at Temporal what they're declared to be; safe to repeat.

    One that was paused by hand stays so; one that is no longer declared is deleted.

    Args:
        temporal: where.
        module: whose, by name.
        schedules: all that it has.

    Raises:
        ConfigurationError: if Temporal refuses one.
        RPCError: if it's away.
    """
    wanted = {f"{module}.{schedule.id}": schedule for schedule in schedules}
    try:
        for id, schedule in wanted.items():
            await _apply(temporal, module, id, schedule)
        async for each in await temporal.list_schedules(f"{MODULE.name} = '{module}'"):
            if each.id not in wanted:
                await _delete(temporal, each.id)
    except RPCError as error:
        if error.status is not RPCStatusCode.UNIMPLEMENTED:  # as of the test server that skips time
            raise
        log.warning("schedules_unknown", module=module, detail="this Temporal has no schedules")


async def _delete(temporal: Client, id: str) -> None:
    try:
        await temporal.get_schedule_handle(id).delete()
        log.info("schedule_deleted", schedule=id)
    except RPCError as error:
        if error.status is not RPCStatusCode.NOT_FOUND:  # then another worker was faster
            raise


async def _apply(temporal: Client, module: str, id: str, schedule: Schedule) -> None:
    found_by = TypedSearchAttributes([SearchAttributePair(MODULE, module)])
    declared = TemporalSchedule(
        action=ScheduleActionStartWorkflow(
            schedule.workflow.run,  # pyright: ignore[reportAttributeAccessIssue, reportUnknownArgumentType, reportUnknownMemberType]
            args=list(schedule.arguments),
            id=id,
            task_queue=task_queue(module),
            typed_search_attributes=found_by,
        ),
        spec=ScheduleSpec(
            cron_expressions=[schedule.cron] if schedule.cron else [],
            intervals=[ScheduleIntervalSpec(schedule.every)] if schedule.every else [],
        ),
        policy=SchedulePolicy(catchup_window=CATCH_UP),
    )

    def change(there: ScheduleUpdateInput) -> ScheduleUpdate:
        return ScheduleUpdate(replace(declared, state=there.description.schedule.state))

    try:
        await temporal.create_schedule(id, declared, search_attributes=found_by)
        log.info("schedule_made", schedule=id)
    except ScheduleAlreadyRunningError:
        await temporal.get_schedule_handle(id).update(change)
    except RPCError as error:
        if error.status is not RPCStatusCode.INVALID_ARGUMENT:
            raise
        raise ConfigurationError(f"Temporal refuses the schedule {id}: {error.message}") from error
