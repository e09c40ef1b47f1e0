"""Each night the originals of dead letters are forgotten that were resolved or discarded long ago; never open ones."""

from __future__ import annotations

from datetime import timedelta

from temporalio import activity, workflow
from temporalio.common import RetryPolicy

from datapunk.store.connection import connect
from datapunk.store.originals import forget
from datapunk.temporal import Platform, Schedule
from schemas.nexus.types import DeadLetterState

CLOSED = [DeadLetterState.Resolved.value, DeadLetterState.Discarded.value]
BATCH = 1000  # letters
LONGEST = timedelta(hours=1)
SILENCE = timedelta(minutes=1)  # of an activity whose worker counts as dead then
PATIENCE = RetryPolicy(maximum_interval=timedelta(minutes=1), maximum_attempts=20)  # then the next night has its turn


@workflow.defn
class ForgetDeadLetters:
    """Returns how many were forgotten."""

    @workflow.run
    async def run(self) -> int:
        """Once."""
        return await workflow.execute_activity_method(
            Retention.forget_dead_letters,
            start_to_close_timeout=LONGEST,
            heartbeat_timeout=SILENCE,
            retry_policy=PATIENCE,
        )


class Retention:
    """The activity.

    Args:
        platform: where everything is.
    """

    def __init__(self, platform: Platform) -> None:
        self._settings = platform.settings

    @activity.defn
    async def forget_dead_letters(self) -> int:
        """Forget originals, and what was tried with them. What happened to the letters stays in their history."""
        older_than = timedelta(days=self._settings.dead_letter_retention_days)
        forgotten = 0
        async with await connect(self._settings.database_url) as conn:
            while True:
                cursor = await conn.execute(
                    "select id from nexus_dead_letters.dead_letters letter"
                    " where state = any(%(closed)s) and updated_at < now() - %(older_than)s and ("
                    " exists (select from originals where originals.id = letter.id)"
                    " or exists (select from redrives where redrives.original = letter.id)) limit %(limit)s",
                    {"closed": CLOSED, "older_than": older_than, "limit": BATCH},
                )
                ids = [id for (id,) in await cursor.fetchall()]
                if not ids:
                    return forgotten
                await forget(conn, ids)
                forgotten += len(ids)
                activity.heartbeat(forgotten)


NIGHTLY = Schedule("forget_dead_letters", ForgetDeadLetters, cron="45 3 * * *")
