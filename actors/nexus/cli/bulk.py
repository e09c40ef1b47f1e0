"""One command to many dead letters: so many a second, with progress."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field
from time import monotonic
from uuid import UUID

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from uuid_utils.compat import uuid7

from actors.nexus.cli.asking import Filter
from datapunk.cli.messaging import Session
from datapunk.client import Client, Sending
from datapunk.errors import QueryFailed
from datapunk.messages.outcome import Status
from schemas.nexus.commands import DiscardDeadLetter, RedriveDeadLetter, StartBulk
from schemas.nexus.types import BulkAct, DeadLetterFilter

WINDOW = 32  # commands under way


@dataclass(frozen=True, slots=True)
class Bulk:
    """What is to be done.

    Attributes:
        verb: for people.
        participle: for people.
        command: the same for each.
        act: the same, as workers are told.
        rate: most a second; none: no limit.
    """

    verb: str
    participle: str
    command: RedriveDeadLetter | DiscardDeadLetter
    act: BulkAct
    rate: float | None = None


@dataclass
class Done:
    """What was done."""

    accepted: int = 0
    reasons: Counter[str] = field(default_factory=Counter[str])

    @property
    def rejected(self) -> int:
        """How many weren't."""
        return self.reasons.total()

    def told(self) -> str:
        """The rest of the sentence."""
        return "".join(f", {count:,} not: {reason}" for reason, count in self.reasons.most_common())


async def carry_out(session: Session, bulk: Bulk, ids: Iterable[UUID], tenant: str | None, *, is_quiet: bool) -> Done:
    """Send the command to each, in order; what is rejected is counted, and doesn't stop the rest."""
    wanted = list(ids)
    done = Done()
    progress = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        disable=is_quiet or len(wanted) < 2,
    )
    async with Client(session.settings, session.registry) as client:
        with progress:
            task = progress.add_task(bulk.verb, total=len(wanted))
            async for batch in paced(wanted, bulk.rate):
                sendings = [Sending(bulk.command, str(id), uuid7()) for id in batch]
                async for _, outcome in client.send_many(sendings, window=WINDOW, tenant=tenant):
                    if outcome.status is Status.Accepted:
                        done.accepted += 1
                    else:
                        done.reasons[outcome.code] += 1
                    progress.advance(task)
    return done


async def start(session: Session, bulk: Bulk, name: str, chosen: Filter, tenant: str | None) -> int:
    """Let workers do it; returns the position from which on they're known to.

    Raises:
        QueryFailed: with the reason, if that's rejected.
    """
    command = StartBulk(
        act=bulk.act,
        filter=DeadLetterFilter(**chosen.as_query(), state=chosen.state),
        rate=bulk.rate,
        by=bulk.command.by,
        why=bulk.command.why,
    )
    async with Client(session.settings, session.registry) as client:
        outcome = await client.send(command, name, tenant=tenant)
    if outcome.status is not Status.Accepted:
        raise QueryFailed(outcome.message, code=outcome.code)
    return outcome.position


async def paced(ids: list[UUID], rate: float | None) -> AsyncIterator[list[UUID]]:
    """Ids in batches of a quarter of a second's worth, none sooner than its time has come."""
    size = len(ids) if rate is None else max(1, int(rate / 4))
    began = monotonic()
    for start in range(0, len(ids), max(size, 1)):
        if rate is not None:
            await asyncio.sleep(max(0.0, began + start / rate - monotonic()))
        yield ids[start : start + size]
