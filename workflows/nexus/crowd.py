"""A flood of dead letters of one cause that time may heal: tried again together, so many a second."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from time import monotonic
from uuid import UUID

from temporalio import activity, workflow
from temporalio.common import RetryPolicy

from datapunk import Recorded
from datapunk.client import Sending
from datapunk.messages.outcome import Status
from datapunk.temporal import Platform, command_id, started_by
from schemas.nexus.commands import RedriveDeadLetter
from schemas.nexus.events import DeadLetterParked
from schemas.nexus.queries import DeadLetterPage, FindDeadLetters
from schemas.nexus.types import DeadLetterState

GATHERING = timedelta(minutes=1)  # in which a crowd comes together (actors.nexus.crowds)
LONGEST_PAUSE = timedelta(hours=1)
RATE = 100  # letters a second
PAGE = 1000
ROUND = timedelta(hours=12)  # of an activity; it goes on where it was
BEAT = timedelta(minutes=1)  # of silence after which it's begun again


@dataclass(frozen=True, slots=True)
class Cause:
    """What the letters of a crowd have in common."""

    module: str
    type: str
    reason: str


@dataclass(slots=True)
class Progress:
    """How far it is: rounds begun, and letters published again in all of them."""

    rounds: int = 0
    redriven: int = 0


def crowd_of(parked: Recorded[DeadLetterParked]) -> str | None:
    """One workflow a cause and minute, if there's any sense in trying again."""
    event = parked.event
    if event.crowd is None or not event.retry.attempts:
        return None
    return f"{event.letter.module}:{event.letter.type}:{event.letter.reason}/{event.crowd}"


def cause_of(parked: Recorded[DeadLetterParked]) -> list[str]:
    """What people look for it by."""
    letter = parked.event.letter
    return [word for word in (letter.module, letter.type, letter.reason) if word]


@workflow.defn
class DeadLetterCrowdWorkflow:
    """Goes on for as long as there are letters left that have attempts left."""

    def __init__(self) -> None:
        self._progress = Progress()

    @workflow.run
    @started_by(DeadLetterParked, key=crowd_of, history=True, about=cause_of)
    async def run(self, parked: Recorded[DeadLetterParked]) -> Progress:
        """From the first that was one too many."""
        letter, retry = parked.event.letter, parked.event.retry
        cause = Cause(letter.module, letter.type, letter.reason)
        pause = max(GATHERING, timedelta(seconds=retry.first_s))
        while True:
            await workflow.sleep(pause)
            self._progress.rounds += 1
            redriven = await workflow.execute_activity_method(
                Crowds.redrive_crowd,
                cause,
                start_to_close_timeout=ROUND,
                heartbeat_timeout=BEAT,
                retry_policy=RetryPolicy(maximum_interval=timedelta(seconds=30)),
                summary=f"{cause.type}: {cause.reason}",
            )
            self._progress.redriven += redriven
            workflow.set_current_details(
                f"{cause.type} {cause.reason}: {self._progress.redriven} published again, "
                f"{self._progress.rounds} rounds"
            )
            if not redriven and self._progress.rounds >= retry.attempts:
                return self._progress
            pause = min(pause * 2, LONGEST_PAUSE)

    @workflow.query
    def progress(self) -> Progress:
        """How far it is."""
        return self._progress


class Crowds:
    """What the workflow does.

    Args:
        platform: to ask, and to send commands.
    """

    def __init__(self, platform: Platform) -> None:
        self._client = platform.client

    @activity.defn
    async def redrive_crowd(self, cause: Cause) -> int:
        """Publish all of a crowd again that have attempts left, the oldest first; returns how many that were."""
        redriven = 0
        command = RedriveDeadLetter(is_automatic=True)
        ids = await self._ids(cause)
        for start in range(0, len(ids), RATE):
            batch = [Sending(command, str(id), command_id(str(id))) for id in ids[start : start + RATE]]
            begun = monotonic()
            async for _, outcome in self._client.send_many(batch, window=32):
                redriven += outcome.status is Status.Accepted
            activity.heartbeat(redriven)
            await asyncio.sleep(max(0.0, begun + 1.0 - monotonic()))
        return redriven

    async def _ids(self, cause: Cause) -> list[UUID]:
        """The oldest first."""
        ids: list[UUID] = []
        after = None
        while True:
            page = await self._client.ask(
                FindDeadLetters(
                    module=cause.module,
                    type=cause.type,
                    reason=cause.reason,
                    state=DeadLetterState.Retrying,
                    crowded=True,
                    limit=PAGE,
                    after=after,
                )
            )
            assert isinstance(page, DeadLetterPage)
            ids += [each.id for each in page.letters]
            activity.heartbeat()
            after = page.next
            if after is None:
                return ids[::-1]
