"""The life of one dead letter: tried again by itself while that may help, then steered by a person, until it ends.

Whatever is done goes through the letter's actor, from here as from the command line or HTTP: the actor decides, and its
events tell this workflow where the letter stands.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from temporalio import workflow
from temporalio.exceptions import ApplicationError

from datapunk import Recorded
from datapunk.messages.message import Command
from datapunk.temporal import CommandRejected, send, signalled_by, started_by
from schemas.nexus.commands import RedriveDeadLetter
from schemas.nexus.events import (
    DeadLetterDiscarded,
    DeadLetterEdited,
    DeadLetterFailedAgain,
    DeadLetterParked,
    DeadLetterRedriven,
    DeadLetterResolved,
)
from workflows.nexus.acts import Act, Edit


def alone(parked: Recorded[DeadLetterParked]) -> str | None:
    """One of a crowd has no workflow of its own."""
    return None if parked.event.is_crowded else parked.actor


def subject(parked: Recorded[DeadLetterParked]) -> list[str]:
    """What people look for it by: module, type and reason, and the actor that the message was for."""
    letter = parked.event.letter
    return [word for word in (letter.module, letter.type, letter.reason, letter.actor) if word]


@dataclass(slots=True)
class Status:
    """Where it stands.

    Attributes:
        state: retrying, parked, redriven, resolved or discarded.
        reason: what is wrong, for people.
        attempts: how often it was published again.
        problem: why the last signal was refused, if it was.
    """

    state: str = "parked"
    reason: str = ""
    attempts: int = 0
    problem: str = ""


@workflow.defn
class DeadLetterWorkflow:
    """Signals: `redrive`, `edit`, `discard`. Updates of the same names also tell what is wrong with what was sent."""

    def __init__(self) -> None:
        self._status = Status()
        self._id = ""
        self._left = 0

    @workflow.run
    @started_by(DeadLetterParked, key=alone, history=True, about=subject)
    async def run(self, parked: Recorded[DeadLetterParked]) -> Status:
        """From the moment in which it was put aside to its end."""
        self._id = parked.actor
        letter, retry = parked.event.letter, parked.event.retry
        self._status.reason = self._status.reason or f"{letter.reason}: {letter.message}"
        if retry.attempts and self._status.state == "parked" and not self._status.attempts:
            self._stands("retrying")
        else:
            self._stands(self._status.state)
        pause = timedelta(seconds=retry.first_s)
        for _ in range(retry.attempts):
            if await self._is_left("retrying", pause):
                break  # a person was quicker
            try:
                await send(RedriveDeadLetter(is_automatic=True), self._id)
            except CommandRejected:
                break
            await workflow.wait_condition(lambda: self._status.state not in ("retrying", "redriven"))
            if self._status.state != "failed":
                break
            self._stands("retrying")
            pause *= 2
        await workflow.wait_condition(lambda: self._status.state in ("resolved", "discarded"))
        await workflow.wait_condition(workflow.all_handlers_finished)
        return self._status

    async def _is_left(self, state: str, within: timedelta) -> bool:
        try:
            await workflow.wait_condition(lambda: self._status.state != state, timeout=within)
        except TimeoutError:
            return False
        return True

    def _stands(self, state: str) -> None:
        self._status.state = state
        workflow.set_current_details(
            f"**{state}** {self._status.reason}\n\nPublished again {self._status.attempts} times."
            + (f"\n\nRefused: {self._status.problem}" if self._status.problem else "")
        )

    # --- what the actor says --------------------------------------------------------------------------

    @workflow.signal
    @signalled_by(DeadLetterRedriven)
    def redriven(self, recorded: Recorded[DeadLetterRedriven]) -> None:
        """It's under way."""
        self._status.attempts = recorded.event.attempt
        self._stands("redriven")

    @workflow.signal
    @signalled_by(DeadLetterFailedAgain)
    def failed_again(self, recorded: Recorded[DeadLetterFailedAgain]) -> None:
        """Back to where it was."""
        self._status.reason = f"{recorded.event.reason}: {recorded.event.message}"
        self._stands("parked" if recorded.event.is_final else "failed")

    @workflow.signal
    @signalled_by(DeadLetterEdited)
    def edited(self, recorded: Recorded[DeadLetterEdited]) -> None:
        """It waits for a person from now on."""
        self._stands("parked")

    @workflow.signal
    @signalled_by(DeadLetterResolved)
    def resolved(self, recorded: Recorded[DeadLetterResolved]) -> None:
        """The good end."""
        self._stands("resolved")

    @workflow.signal
    @signalled_by(DeadLetterDiscarded)
    def discarded(self, recorded: Recorded[DeadLetterDiscarded]) -> None:
        """The other end."""
        self._stands("discarded")

    # --- what people say ------------------------------------------------------------------------------

    @workflow.query
    def status(self) -> Status:
        """Where it stands."""
        return self._status

    @workflow.signal(name="redrive")
    async def redrive_signal(self, act: Act) -> None:
        """Publish it again. What is refused is shown by `status`."""
        await self._try(act.as_redrive)

    @workflow.signal(name="discard")
    async def discard_signal(self, act: Act) -> None:
        """Give it up. What is refused is shown by `status`."""
        await self._try(act.as_discard)

    @workflow.signal(name="edit")
    async def edit_signal(self, edit: Edit) -> None:
        """Change it, and publish it again. What is refused is shown by `status`."""
        await self._try(edit.as_edit, *([Act(edit.by, edit.why).as_redrive] if edit.redrive else []))

    @workflow.update(name="redrive")
    async def redrive_update(self, act: Act) -> str:
        """Publish it again; fails if the letter's actor says no."""
        return await self._do(act.as_redrive)

    @workflow.update(name="discard")
    async def discard_update(self, act: Act) -> str:
        """Give it up; fails if the letter's actor says no."""
        return await self._do(act.as_discard)

    @workflow.update(name="edit")
    async def edit_update(self, edit: Edit) -> str:
        """Change it, and publish it again; fails if the letter's actor says no: the body must fit its schema."""
        return await self._do(edit.as_edit, *([Act(edit.by, edit.why).as_redrive] if edit.redrive else []))

    @redrive_update.validator
    def check_redrive(self, act: Act) -> None:
        """Refused before it's recorded."""
        _check(act)

    @discard_update.validator
    def check_discard(self, act: Act) -> None:
        """Refused before it's recorded."""
        _check(act)

    @edit_update.validator
    def check_edit(self, edit: Edit) -> None:
        """Refused before it's recorded."""
        _check(edit)
        if edit.body is None and edit.type is None and edit.actor is None:
            raise ValueError("say what is to change: body, type or actor")

    async def _do(self, *commands: Command) -> str:
        await workflow.wait_condition(lambda: bool(self._id))
        for command in commands:
            await send(command, self._id)
        return self._status.state

    async def _try(self, *commands: Command) -> None:
        try:
            await self._do(*commands)
        except ApplicationError as refused:
            self._status.problem = str(refused)
        else:
            self._status.problem = ""
        self._stands(self._status.state)


def _check(act: Any) -> None:
    if not act.by.strip():
        raise ValueError("say who: `by`")
