"""Bulk work on dead letters: what was asked for, how far it is, how it ended. A workflow does it."""

from __future__ import annotations

from math import isfinite

from actors.nexus.who import check_who
from datapunk import Actor, Rejected, applies, handles
from schemas.nexus.commands import (
    CancelBulk,
    CompleteBulk,
    PauseBulk,
    RecordBulkProgress,
    ResumeBulk,
    StartBulk,
)
from schemas.nexus.events import (
    BulkCancelled,
    BulkCompleted,
    BulkPaused,
    BulkProgressed,
    BulkResumed,
    BulkStarted,
)
from schemas.nexus.types import BulkState, DeadLetterFilter, DeadLetterState

MAX_TEXT = 255  # characters of anything to look for
IDLE = (None, DeadLetterState.Parked, DeadLetterState.Retrying)


class Bulk(Actor):
    """One order to redrive or discard many dead letters."""

    state: BulkState | None = None

    @handles(StartBulk)
    def start(self, command: StartBulk) -> BulkStarted:
        """It's started once."""
        if self.state is not None:
            raise Rejected("bulk_exists", f"bulk work {self.id} was started already; choose another id")
        check_who(command.by, command.why)
        _check(command.filter)
        if command.rate is not None and not (isfinite(command.rate) and command.rate > 0):
            raise Rejected("rate_invalid", f"a rate is a number of letters a second above 0, not {command.rate}")
        return BulkStarted(act=command.act, filter=command.filter, rate=command.rate, by=command.by, why=command.why)

    @handles(PauseBulk)
    def pause(self, command: PauseBulk) -> BulkPaused | None:
        """What is paused already stays so."""
        self._must_go_on()
        check_who(command.by, command.why)
        return None if self.state is BulkState.Paused else BulkPaused(by=command.by, why=command.why)

    @handles(ResumeBulk)
    def resume(self, command: ResumeBulk) -> BulkResumed | None:
        """What isn't paused goes on anyway."""
        self._must_go_on()
        check_who(command.by, command.why)
        return BulkResumed(by=command.by, why=command.why) if self.state is BulkState.Paused else None

    @handles(CancelBulk)
    def cancel(self, command: CancelBulk) -> BulkCancelled:
        """From here on it begins nothing."""
        self._must_go_on()
        check_who(command.by, command.why)
        return BulkCancelled(by=command.by, why=command.why)

    @handles(RecordBulkProgress)
    def record(self, command: RecordBulkProgress) -> BulkProgressed:
        """What was under way when it was paused or cancelled still counts."""
        if self.state is not BulkState.Cancelled:
            self._must_go_on()
        return BulkProgressed(total=command.total, done=command.done, refused=command.refused)

    @handles(CompleteBulk)
    def complete(self, command: CompleteBulk) -> BulkCompleted:
        """It's over."""
        self._must_go_on()
        return BulkCompleted(total=command.total, done=command.done, refused=command.refused)

    @applies(BulkStarted)
    def started(self, event: BulkStarted) -> None:
        """Remember that it's there."""
        self.state = BulkState.Running

    @applies(BulkResumed)
    def resumed(self, event: BulkResumed) -> None:
        """Remember that it goes on."""
        self.state = BulkState.Running

    @applies(BulkPaused)
    def paused(self, event: BulkPaused) -> None:
        """Remember that it rests."""
        self.state = BulkState.Paused

    @applies(BulkProgressed)
    def progressed(self, event: BulkProgressed) -> None:
        """No decision depends on it."""

    @applies(BulkCancelled)
    def cancelled(self, event: BulkCancelled) -> None:
        """Remember that it's over."""
        self.state = BulkState.Cancelled

    @applies(BulkCompleted)
    def completed(self, event: BulkCompleted) -> None:
        """Remember that it's over."""
        self.state = BulkState.Completed

    def _must_go_on(self) -> None:
        if self.state is None:
            raise Rejected("bulk_unknown", f"there is no bulk work {self.id}")
        if self.state not in (BulkState.Running, BulkState.Paused):
            raise Rejected("bulk_over", f"bulk work {self.id} is {self.state.value.lower()}")


def _check(filter: DeadLetterFilter) -> None:
    if filter == DeadLetterFilter():
        raise Rejected("filter_empty", "say which, as by module or reason; all: since 2000-01-01T00:00:00Z")
    if filter.state not in IDLE:
        raise Rejected("state_invalid", f"only parked or retrying letters can be meant, not {filter.state}")
    texts = (filter.module, filter.type, filter.reason, filter.actor, filter.tenant, filter.text)
    if any(len(text) > MAX_TEXT for text in texts if text is not None):
        raise Rejected("too_long", f"a condition has at most {MAX_TEXT} characters")
