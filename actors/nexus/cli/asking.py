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
    found: list[DeadLetterSummary] = []
    async with Client(session.settings, session.registry) as client:
        for state in [chosen.state] if chosen.state else OPEN:
            page = await client.ask(FindDeadLetters(**chosen.as_query(), state=state, limit=limit), tenant=tenant)
            assert isinstance(page, DeadLetterPage)
            found += page.letters
    return sorted(found, key=place, reverse=True)[:limit]


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


async def open_letters(session: Session, chosen: Filter, tenant: str | None) -> list[UUID]:
    """All that aren't done with nor under way, the oldest first: commands to one actor keep their order."""
    found: list[DeadLetterSummary] = []
    async with Client(session.settings, session.registry) as client:
        for state in [chosen.state] if chosen.state else IDLE:
            after = None
            while True:
                query = FindDeadLetters(**chosen.as_query(), state=state, limit=PAGE, after=after)
                page = await client.ask(query, tenant=tenant)
                assert isinstance(page, DeadLetterPage)
                found += page.letters
                after = page.next
                if after is None:
                    break
    return [each.id for each in sorted(found, key=place)]


def place(letter: DeadLetterSummary) -> tuple[datetime, UUID]:
    """By which lists are in order."""
    return letter.died_at or letter.parked_at, letter.id


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
