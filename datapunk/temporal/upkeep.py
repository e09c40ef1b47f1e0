"""The platform's own upkeep that waits for Temporal: what it's well to do by the clock, and can do without for a while.

What must happen wherever commands are handled, such as forgetting old ones, is in `datapunk.upkeep`, which needs no
Temporal. An act that is to be scheduled, a rotation of keys for instance, gets a workflow and a `Schedule` here.
"""

from __future__ import annotations

from datetime import timedelta

from temporalio import activity, workflow

from datapunk.module import Module
from datapunk.temporal.platform import Platform
from datapunk.temporal.schedules import Schedule
from datapunk.upkeep import analyze_events

ANALYZE_EVENTS = "datapunk.analyze_events"
PATIENCE = timedelta(hours=1)  # for one attempt

RUNTIME = Module(name="datapunk", schemas="datapunk", workflows=__name__, description="The platform's own upkeep.")
"""It has no messages: only its name and its workflows count."""


@workflow.defn
class AnalyzeEvents:
    """Tells Postgres what is in the event store, so that it finds the best ways to read it."""

    @workflow.run
    async def run(self) -> None:
        """Once."""
        await workflow.execute_activity(ANALYZE_EVENTS, start_to_close_timeout=PATIENCE)


class Acts:
    """What workflows of upkeep do.

    Args:
        platform: where everything is.
    """

    def __init__(self, platform: Platform) -> None:
        self._settings = platform.settings

    @activity.defn(name=ANALYZE_EVENTS)
    async def analyze_events(self) -> None:
        """See `datapunk.upkeep`."""
        await analyze_events(self._settings)


ANALYZE = Schedule("analyze_events", AnalyzeEvents, cron="30 3 * * *")
