"""What the commands ask and send."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from datapunk.cli.messaging import Session
from datapunk.client import Client
from datapunk.errors import QueryFailed
from datapunk.messages.message import Command
from datapunk.messages.outcome import Outcome, Status
from schemas.nexus.queries import (
    CountDeadLetters,
    DeadLetterCounts,
    DeadLetterFound,
    DeadLetterPage,
    FindDeadLetters,
    GetDeadLetter,
)
from schemas.nexus.types import DeadLetterState, DeadLetterSummary

PAGE = 1000
OPEN = (DeadLetterState.Parked, DeadLetterState.Retrying, DeadLetterState.Redriven)
IDLE = (DeadLetterState.Parked, DeadLetterState.Retrying)  # open, and not under way


@dataclass(frozen=True, slots=True)
class Filter:
    """Which dead letters are meant."""

    module: str | None = None
    type: str | None = None
    reason: str | None = None
    state: DeadLetterState | None = None
    actor: str | None = None
    about: str | None = None
    text: str | None = None
    since: datetime | None = None
    until: datetime | None = None

    def states(self, otherwise: Sequence[DeadLetterState]) -> list[DeadLetterState]:
        """The state that was said, or others."""
        return [self.state] if self.state else list(otherwise)

    def as_query(self) -> dict[str, Any]:
        """As queries have it, but for the state."""
        return {
            "module": self.module,
            "type": self.type,
            "reason": self.reason,
            "actor": self.actor,
            "tenant": self.about,
            "text": self.text,
            "since": self.since and self.since.replace(tzinfo=UTC),
            "until": self.until and self.until.replace(tzinfo=UTC),
        }


async def find(session: Session, chosen: Filter, tenant: str | None, limit: int) -> list[DeadLetterSummary]:
    """The latest of them."""
    async with Client(session.settings, session.registry) as client:
        query = FindDeadLetters(**chosen.as_query(), states=chosen.states(OPEN), limit=limit)
        page = await client.ask(query, tenant=tenant)
        assert isinstance(page, DeadLetterPage)
        return page.letters


async def count(session: Session, chosen: Filter, tenant: str | None) -> DeadLetterCounts:
    """How many there are."""
    async with Client(session.settings, session.registry) as client:
        counts = await client.ask(CountDeadLetters(**chosen.as_query(), state=chosen.state), tenant=tenant)
        assert isinstance(counts, DeadLetterCounts)
        return counts


async def get(session: Session, id: UUID, tenant: str | None) -> DeadLetterFound:
    """One, whole.

    Raises:
        QueryFailed: if it isn't there.
    """
    async with Client(session.settings, session.registry) as client:
        found = await client.ask(GetDeadLetter(id=id), tenant=tenant)
        assert isinstance(found, DeadLetterFound)
        return found


async def count_idle(session: Session, chosen: Filter, tenant: str | None) -> int:
    """How many aren't done with nor under way."""
    async with Client(session.settings, session.registry) as client:
        query = CountDeadLetters(**chosen.as_query(), states=chosen.states(IDLE))
        counts = await client.ask(query, tenant=tenant)
        assert isinstance(counts, DeadLetterCounts)
        return counts.total


async def open_letters(session: Session, chosen: Filter, tenant: str | None) -> list[UUID]:
    """All that aren't done with nor under way, the oldest first."""
    ids: list[UUID] = []
    async with Client(session.settings, session.registry) as client:
        after = None
        while True:
            states = chosen.states(IDLE)
            query = FindDeadLetters(**chosen.as_query(), states=states, oldest_first=True, limit=PAGE, after=after)
            page = await client.ask(query, tenant=tenant)
            assert isinstance(page, DeadLetterPage)
            ids += [each.id for each in page.letters]
            after = page.next
            if after is None:
                return ids


async def send(session: Session, id: UUID, commands: Sequence[Command], tenant: str | None) -> list[Outcome]:
    """Send commands to one, in order.

    Raises:
        QueryFailed: with the reason, if one is rejected.
    """
    outcomes: list[Outcome] = []
    async with Client(session.settings, session.registry) as client:
        for command in commands:
            outcome = await client.send(command, str(id), tenant=tenant)
            if outcome.status is not Status.Accepted:
                raise QueryFailed(outcome.message, code=outcome.code)
            outcomes.append(outcome)
    return outcomes
