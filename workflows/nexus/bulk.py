"""Many dead letters redriven or discarded, the oldest first and so many a second: seen, paused, resumed, cancelled.

Those are meant that were there when it was asked for. Each is told once, whatever is killed meanwhile: a command's id
derives from the bulk and the letter, and the inbox knows it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid5

from temporalio import activity, workflow
from temporalio.common import RetryPolicy

from datapunk import Recorded
from datapunk.client import Sending
from datapunk.messages.outcome import Status
from datapunk.temporal import CommandRejected, Platform, ask, send, signalled_by, started_by
from schemas.nexus.commands import CompleteBulk, DiscardDeadLetter, RecordBulkProgress, RedriveDeadLetter
from schemas.nexus.events import BulkCancelled, BulkPaused, BulkResumed, BulkStarted
from schemas.nexus.queries import CountDeadLetters, DeadLetterPage, FindDeadLetters
from schemas.nexus.types import BulkAct, DeadLetterFilter, DeadLetterState

IDLE = (DeadLetterState.Parked, DeadLetterState.Retrying)  # open, and not under way
PAGE = 200  # letters found at a time
SLICE = 100  # most letters told at a time; fewer if there's a rate: as many as a second's
SLICES_A_RUN = 200  # then the workflow begins anew: its history would grow beyond what Temporal bears
RECORD_EVERY = timedelta(seconds=5)  # progress
WINDOW = 32  # commands under way
LONGEST = timedelta(minutes=5)  # for a slice
SILENCE = timedelta(seconds=15)  # of an activity whose worker counts as dead then; or for a page
PATIENCE = RetryPolicy(initial_interval=timedelta(seconds=1), maximum_interval=timedelta(seconds=30))
REST = "rest"  # in the memo
NEVER = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True)
class Progress:
    """How far it is.

    Attributes:
        total: letters that there were when it began.
        done: that were redriven, or discarded.
        refused: of which their actors said no.
    """

    total: int = 0
    done: int = 0
    refused: int = 0

    def __add__(self, other: Progress) -> Progress:
        return Progress(self.total + other.total, self.done + other.done, self.refused + other.refused)


@dataclass(frozen=True)
class Rest:
    """Where a workflow goes on that began anew, with an empty history; in its memo."""

    progress: Progress
    after: str
    due_in_s: float
    is_paused: bool


@dataclass(frozen=True)
class Page:
    """Letters in their order, and where the next page begins."""

    ids: list[str] = field(default_factory=list[str])
    next: str | None = None


class Bulks:
    """The activities.

    Args:
        platform: to ask, and to send commands.
    """

    def __init__(self, platform: Platform) -> None:
        self._client = platform.client

    @activity.defn
    async def find_letters(self, started: Recorded[BulkStarted], after: str | None) -> Page:
        """The oldest of those that are left."""
        conditions = _conditions(started)
        page = await self._client.ask(
            FindDeadLetters(**conditions, oldest_first=True, limit=PAGE, after=after),
            tenant=started.tenant,
            after_position=started.position,
        )
        assert isinstance(page, DeadLetterPage)
        return Page([str(each.id) for each in page.letters], page.next)

    @activity.defn
    async def tell_letters(self, started: Recorded[BulkStarted], ids: list[str]) -> Progress:
        """Redrive or discard some. Told again they say what they said the first time."""
        event = started.event
        kind = RedriveDeadLetter if event.act is BulkAct.Redrive else DiscardDeadLetter
        command, name = kind(by=event.by, why=event.why), f"bulk/{started.tenant}/{started.actor}"
        sendings = [Sending(command, id, uuid5(UUID(id), name)) for id in ids]
        done = 0
        async for _, outcome in self._client.send_many(sendings, window=WINDOW, tenant=started.tenant):
            done += outcome.status is Status.Accepted
            activity.heartbeat()
        return Progress(done=done, refused=len(ids) - done)


@workflow.defn
class DeadLetterBulkWorkflow:
    """From the order to the last letter; pausing and cancelling count between two slices."""

    def __init__(self) -> None:
        self._is_paused = False
        self._is_cancelled = False
        self._progress = Progress()
        self._recorded_at = self._due_at = NEVER
        self._slices = 0

    @workflow.run
    @started_by(BulkStarted)
    async def run(self, started: Recorded[BulkStarted]) -> Progress:
        """The whole of it."""
        rest = workflow.memo_value(REST, None, type_hint=Rest)
        after = None
        if rest is not None:
            self._progress, after = rest.progress, rest.after
            self._due_at = workflow.now() + timedelta(seconds=rest.due_in_s)
            self._is_paused |= rest.is_paused
        else:
            counts = await ask(CountDeadLetters(**_conditions(started)), after_position=started.position)
            self._progress = Progress(total=counts.total)
            await self._record(started.actor)
        try:
            await self._go_on(started, after)
            if self._is_cancelled:
                await self._record(started.actor)
            else:
                await send(CompleteBulk(**self._counts()), started.actor)
        except CommandRejected as error:
            if error.code != "bulk_over":  # cancelled, and the signal is on its way
                raise
        return self._progress

    @workflow.signal
    @signalled_by(BulkPaused)
    def paused(self, event: Recorded[BulkPaused]) -> None:
        """Begin no further slice."""
        self._is_paused = True

    @workflow.signal
    @signalled_by(BulkResumed)
    def resumed(self, event: Recorded[BulkResumed]) -> None:
        """Go on."""
        self._is_paused = False

    @workflow.signal
    @signalled_by(BulkCancelled)
    def cancelled(self, event: Recorded[BulkCancelled]) -> None:
        """End."""
        self._is_cancelled = True

    @workflow.query
    def progress(self) -> Progress:
        """How far it is."""
        return self._progress

    async def _go_on(self, started: Recorded[BulkStarted], after: str | None) -> None:
        rate = started.event.rate
        size = SLICE if rate is None else max(1, min(SLICE, int(rate)))
        while True:
            page = await workflow.execute_activity_method(
                Bulks.find_letters,
                args=[started, after],
                start_to_close_timeout=SILENCE,
                retry_policy=PATIENCE,
            )
            for start in range(0, len(page.ids), size):
                if not await self._is_time():
                    return
                await self._tell(started, page.ids[start : start + size])
            after = page.next
            if after is None:
                return
            if self._slices >= SLICES_A_RUN:
                due_in_s = max(0.0, (self._due_at - workflow.now()).total_seconds())
                rest = Rest(self._progress, after, due_in_s, self._is_paused)
                workflow.continue_as_new(started, memo={**workflow.memo(), REST: rest})

    async def _is_time(self) -> bool:
        """Wait until the next slice is due; returns false if there's none to be."""
        while not self._is_cancelled:
            if self._is_paused:
                await workflow.wait_condition(lambda: self._is_cancelled or not self._is_paused)
            elif (wait := self._due_at - workflow.now()) <= timedelta(0):
                return True
            else:
                try:
                    await workflow.wait_condition(lambda: self._is_cancelled or self._is_paused, timeout=wait)
                except TimeoutError:
                    continue
        return False

    async def _tell(self, started: Recorded[BulkStarted], ids: list[str]) -> None:
        rate = started.event.rate
        if rate is not None:
            self._due_at = workflow.now() + timedelta(seconds=len(ids) / rate)
        self._progress += await workflow.execute_activity_method(
            Bulks.tell_letters,
            args=[started, ids],
            start_to_close_timeout=LONGEST,
            heartbeat_timeout=SILENCE,
            retry_policy=PATIENCE,
            summary=f"{started.event.act.value} {len(ids)}",
        )
        self._slices += 1
        if workflow.now() - self._recorded_at >= RECORD_EVERY:
            await self._record(started.actor)

    async def _record(self, id: str) -> None:
        self._recorded_at = workflow.now()
        progress = self._progress
        workflow.set_current_details(f"{progress.done:,} of {progress.total:,} done, {progress.refused:,} refused")
        await send(RecordBulkProgress(**self._counts()), id)

    def _counts(self) -> dict[str, int]:
        return {"total": self._progress.total, "done": self._progress.done, "refused": self._progress.refused}


def _conditions(started: Recorded[BulkStarted]) -> dict[str, Any]:
    """What the letters have in common, among those that were there by then."""
    filter: DeadLetterFilter = started.event.filter
    return {
        "module": filter.module,
        "type": filter.type,
        "reason": filter.reason,
        "states": [filter.state] if filter.state else list(IDLE),
        "actor": filter.actor,
        "tenant": filter.tenant,
        "text": filter.text,
        "since": filter.since,
        "until": min(filter.until, started.at) if filter.until else started.at,
    }
