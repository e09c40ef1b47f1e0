"""The dead letter: a message that couldn't be handled, and what people and time make of it.

Its id is the message's header `dead-id`. The original itself is in the store (`datapunk.store.originals`): bodies may
be large. What publishes it again is the redriver, once `DeadLetterRedriven` says so.
"""

from __future__ import annotations

from uuid import UUID, uuid5

from actors.nexus.bodies import check_body
from actors.nexus.who import check_who
from datapunk import Actor, Rejected, applies, handles
from schemas.nexus.commands import (
    DiscardDeadLetter,
    EditDeadLetter,
    FailDeadLetterAgain,
    ParkDeadLetter,
    RedriveDeadLetter,
    ResolveDeadLetter,
)
from schemas.nexus.events import (
    DeadLetterDiscarded,
    DeadLetterEdited,
    DeadLetterFailedAgain,
    DeadLetterParked,
    DeadLetterRedriven,
    DeadLetterResolved,
)
from schemas.nexus.types import DeadLetterState

CONTENT_TYPES = ("application/avro+json", "application/avro")


class DeadLetter(Actor):
    """One message, from the moment in which it was put aside."""

    kind = "dead_letter"

    state: DeadLetterState | None = None
    type: str = ""
    content_type: str | None = None
    reason: str = ""
    attempts_left: int = 0
    attempt: int = 0
    edit_version: int = 0

    @handles(ParkDeadLetter)
    def park(self, command: ParkDeadLetter) -> DeadLetterParked | None:
        """Once; whoever parks it again does so because it isn't sure."""
        if self.state is not None:
            return None
        _id(self.id)
        return DeadLetterParked(
            letter=command.letter, retry=command.retry, is_crowded=command.is_crowded, crowd=command.crowd
        )

    @handles(RedriveDeadLetter)
    def redrive(self, command: RedriveDeadLetter) -> DeadLetterRedriven:
        """Again and again, if a person wants it: who has handled it before recognises it."""
        self._must_be_open()
        check_who(command.by, command.why)
        if command.is_automatic and self.state is not DeadLetterState.Retrying:
            raise Rejected("not_retrying", f"dead letter {self.id} isn't tried again by itself (any more)")
        return DeadLetterRedriven(
            attempt=self.attempt + 1,
            edit_version=self.edit_version,
            is_automatic=command.is_automatic,
            by=command.by,
            why=command.why,
        )

    @handles(EditDeadLetter)
    def edit(self, command: EditDeadLetter) -> DeadLetterEdited:
        """An edited message is another one, and so has another id: the old one's may be taken."""
        self._must_be_open()
        self._must_not_be_under_way()
        check_who(command.by, command.why)
        if command.body is None and command.content_type is None and command.type is None and command.actor is None:
            raise Rejected("edit_empty", "give what is to change: body, content_type, type or actor")
        if command.content_type is not None and command.content_type not in CONTENT_TYPES:
            raise Rejected("content_type_invalid", f"a content type is {' or '.join(CONTENT_TYPES)}")
        if command.body is not None:
            check_body(command.type or self.type, command.body, command.content_type or self.content_type)
        return DeadLetterEdited(
            message_id=uuid5(_id(self.id), f"edit/{self.version + 1}"),
            body=command.body,
            content_type=command.content_type,
            type=command.type,
            actor=command.actor,
            by=command.by,
            why=command.why,
        )

    @handles(DiscardDeadLetter)
    def discard(self, command: DiscardDeadLetter) -> DeadLetterDiscarded | None:
        """Not while it's under way: it might be handled."""
        if self.state is DeadLetterState.Discarded:
            return None
        self._must_be_open()
        self._must_not_be_under_way()
        check_who(command.by, command.why)
        return DeadLetterDiscarded(by=command.by, why=command.why)

    @handles(FailDeadLetterAgain)
    def fail_again(self, command: FailDeadLetterAgain) -> DeadLetterFailedAgain | None:
        """Told of an earlier attempt, or told twice, it's no news."""
        if self.state is not DeadLetterState.Redriven or command.attempt != self.attempt:
            return None
        return DeadLetterFailedAgain(
            attempt=command.attempt,
            reason=command.reason,
            message=command.message,
            failed_at=command.failed_at,
            is_final=self.attempts_left == 0 or command.reason != self.reason,
        )

    @handles(ResolveDeadLetter)
    def resolve(self, command: ResolveDeadLetter) -> DeadLetterResolved | None:
        """Whichever attempt it was: what happened has happened."""
        if self.state in (None, DeadLetterState.Resolved) or not 0 < command.attempt <= self.attempt:
            return None
        return DeadLetterResolved(
            attempt=command.attempt, result=command.result, code=command.code, message=command.message
        )

    @applies(DeadLetterParked)
    def parked(self, event: DeadLetterParked) -> None:
        """Remember what later commands are judged by."""
        self.type, self.content_type, self.reason = event.letter.type, event.letter.content_type, event.letter.reason
        self.attempts_left = event.retry.attempts
        self.state = DeadLetterState.Retrying if self.attempts_left else DeadLetterState.Parked

    @applies(DeadLetterRedriven)
    def redriven(self, event: DeadLetterRedriven) -> None:
        """It's under way. Once a person has tried, nothing is tried by itself any more."""
        self.state, self.attempt = DeadLetterState.Redriven, event.attempt
        self.attempts_left = self.attempts_left - 1 if event.is_automatic else 0

    @applies(DeadLetterEdited)
    def edited(self, event: DeadLetterEdited) -> None:
        """Who edits it, wants to say when it's tried again."""
        self.edit_version = self.version + 1
        self.state, self.attempts_left = DeadLetterState.Parked, 0

    @applies(DeadLetterFailedAgain)
    def failed_again(self, event: DeadLetterFailedAgain) -> None:
        """Back to where it was."""
        self.state = DeadLetterState.Parked if event.is_final else DeadLetterState.Retrying

    @applies(DeadLetterResolved)
    def resolved(self, event: DeadLetterResolved) -> None:
        """The good end."""
        self.state = DeadLetterState.Resolved

    @applies(DeadLetterDiscarded)
    def discarded(self, event: DeadLetterDiscarded) -> None:
        """The other end."""
        self.state = DeadLetterState.Discarded

    def _must_be_open(self) -> None:
        if self.state is None:
            raise Rejected("dead_letter_unknown", f"there is no dead letter {self.id}")
        if self.state is DeadLetterState.Resolved:
            raise Rejected("dead_letter_resolved", f"dead letter {self.id} was handled")
        if self.state is DeadLetterState.Discarded:
            raise Rejected("dead_letter_discarded", f"dead letter {self.id} was discarded")

    def _must_not_be_under_way(self) -> None:
        if self.state is DeadLetterState.Redriven:
            raise Rejected(
                "dead_letter_under_way", f"dead letter {self.id} was published again; wait for what comes of it"
            )


def _id(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise Rejected("dead_letter_id_invalid", f"a dead letter's id is a UUID, not {text!r}") from None
