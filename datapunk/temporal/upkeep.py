"""The platform's own upkeep that waits for Temporal: what it's well to do by the clock, and can do without for a while.

What must happen wherever commands are handled, such as forgetting old ones, is in `datapunk.upkeep`, which needs no
Temporal. An act that is to be scheduled gets a workflow and a `Schedule` here.
"""

from __future__ import annotations

from datetime import timedelta

from temporalio import activity, workflow
from temporalio.common import RetryPolicy

from datapunk.errors import ConfigurationError, SecretUnreadable
from datapunk.module import Module
from datapunk.temporal.platform import Platform
from datapunk.temporal.schedules import Schedule
from datapunk.upkeep import analyze_events, reseal_secrets

ANALYZE_EVENTS, RESEAL_SECRETS = "datapunk.analyze_events", "datapunk.reseal_secrets"
PATIENCE = timedelta(hours=1)  # for one attempt
# A key that is missing isn't there the next moment either: the run fails, and shows it.
UNTIL_MENDED = RetryPolicy(non_retryable_error_types=[SecretUnreadable.__name__, ConfigurationError.__name__])

RUNTIME = Module(name="datapunk", schemas="datapunk", workflows=__name__, description="The platform's own upkeep.")
"""It has no messages: only its name and its workflows count."""


@workflow.defn
class AnalyzeEvents:
    """Tells Postgres what is in the event store, so that it finds the best ways to read it."""

    @workflow.run
    async def run(self) -> None:
        """Once."""
        await workflow.execute_activity(ANALYZE_EVENTS, start_to_close_timeout=PATIENCE)


@workflow.defn
class ResealSecrets:
    """Encrypts all secrets with the newest key, so that older ones can go."""

    @workflow.run
    async def run(self) -> int:
        """Once; returns how many secrets had another key."""
        return await workflow.execute_activity(
            RESEAL_SECRETS, start_to_close_timeout=PATIENCE, retry_policy=UNTIL_MENDED, result_type=int
        )


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

    @activity.defn(name=RESEAL_SECRETS)
    async def reseal_secrets(self) -> int:
        """See `datapunk.upkeep`."""
        return await reseal_secrets(self._settings)


ANALYZE = Schedule("analyze_events", AnalyzeEvents, cron="30 3 * * *")
RESEAL = Schedule("reseal_secrets", ResealSecrets, cron="45 3 * * *")
