"""Dead letters, where each stands, and what happened to it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from datapunk import Projection, Recorded, Rows, projects
from schemas.nexus.events import (
    DeadLetterDiscarded,
    DeadLetterEdited,
    DeadLetterFailedAgain,
    DeadLetterParked,
    DeadLetterRedriven,
    DeadLetterResolved,
)
from schemas.nexus.types import DeadLetterState

STEP = "insert into steps (owner, id, version, at, what, by, why) values (%s, %s, %s, %s, %s, %s, %s)"


class DeadLetters(Projection):
    """One row a dead letter, for as long as there's history."""

    module = "nexus"
    name = "dead_letters"
    version = 3

    @projects(DeadLetterParked)
    async def parked(self, rows: Rows, events: Sequence[Recorded[DeadLetterParked]]) -> None:
        """Add a row each."""
        async with rows.cursor() as cursor:
            await cursor.executemany(
                """
                insert into dead_letters
                    (owner, id, module, type, reason, kind, message, state, is_crowded, actor, tenant, message_id,
                    size, letter, died_at, parked_at, updated_at)
                values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
                """,
                [
                    (
                        recorded.tenant,
                        recorded.actor,
                        letter.module,
                        letter.type,
                        letter.reason,
                        letter.kind.value,
                        letter.message,
                        (DeadLetterState.Retrying if recorded.event.retry.attempts else DeadLetterState.Parked).value,
                        recorded.event.is_crowded,
                        letter.actor,
                        letter.tenant,
                        letter.message_id,
                        letter.size,
                        msgspec.json.encode(letter).decode(),
                        letter.died_at,
                        recorded.at,
                        recorded.at,
                    )
                    for recorded in events
                    for letter in (recorded.event.letter,)
                ],
            )
        await _steps(rows, events, lambda event: ("", f"{event.letter.reason}: {event.letter.message}"))

    @projects(DeadLetterRedriven)
    async def redriven(self, rows: Rows, events: Sequence[Recorded[DeadLetterRedriven]]) -> None:
        """It's under way."""
        async with rows.cursor() as cursor:
            await cursor.executemany(
                "update dead_letters set state = %s, attempts = %s, updated_at = %s where owner = %s and id = %s",
                [(DeadLetterState.Redriven.value, each.event.attempt, *_of(each)) for each in events],
            )
        await _steps(rows, events, lambda event: (event.by or "retry" * event.is_automatic, event.why))

    @projects(DeadLetterEdited)
    async def edited(self, rows: Rows, events: Sequence[Recorded[DeadLetterEdited]]) -> None:
        """Keep what differs: the last edit is the one that counts."""
        async with rows.cursor() as cursor:
            await cursor.executemany(
                "update dead_letters set state = %s, is_edited = true, updated_at = %s where owner = %s and id = %s",
                [(DeadLetterState.Parked.value, *_of(each)) for each in events],
            )
            await cursor.executemany(
                """
                insert into edits (owner, id, message_id, body, content_type, type, actor)
                values (%s, %s, %s, %s, %s, %s, %s)
                on conflict (owner, id) do update set
                    message_id = excluded.message_id, body = excluded.body, content_type = excluded.content_type,
                    type = excluded.type, actor = excluded.actor
                """,
                [
                    (
                        each.tenant,
                        each.actor,
                        each.event.message_id,
                        each.event.body,
                        each.event.content_type,
                        each.event.type,
                        each.event.actor,
                    )
                    for each in events
                ],
            )
        await _steps(rows, events, lambda event: (event.by, event.why))

    @projects(DeadLetterFailedAgain)
    async def failed_again(self, rows: Rows, events: Sequence[Recorded[DeadLetterFailedAgain]]) -> None:
        """The latest reason is the one to look for."""
        async with rows.cursor() as cursor:
            await cursor.executemany(
                "update dead_letters set state = %s, reason = %s, message = %s, updated_at = %s "
                "where owner = %s and id = %s",
                [
                    (
                        (DeadLetterState.Parked if each.event.is_final else DeadLetterState.Retrying).value,
                        each.event.reason,
                        each.event.message,
                        *_of(each),
                    )
                    for each in events
                ],
            )
        await _steps(rows, events, lambda event: ("", f"{event.reason}: {event.message}"))

    @projects(DeadLetterResolved)
    async def resolved(self, rows: Rows, events: Sequence[Recorded[DeadLetterResolved]]) -> None:
        """Done."""
        await _move(rows, events, DeadLetterState.Resolved)
        await _steps(
            rows, events, lambda event: ("", ": ".join(filter(None, (event.result.value, event.code, event.message))))
        )

    @projects(DeadLetterDiscarded)
    async def discarded(self, rows: Rows, events: Sequence[Recorded[DeadLetterDiscarded]]) -> None:
        """Given up."""
        await _move(rows, events, DeadLetterState.Discarded)
        await _steps(rows, events, lambda event: (event.by, event.why))


def _of(recorded: Recorded[Any]) -> tuple[Any, ...]:
    return (recorded.at, recorded.tenant, recorded.actor)


async def _move(rows: Rows, events: Sequence[Recorded[Any]], state: DeadLetterState) -> None:
    async with rows.cursor() as cursor:
        await cursor.executemany(
            "update dead_letters set state = %s, updated_at = %s where owner = %s and id = %s",
            [(state.value, *_of(each)) for each in events],
        )


async def _steps(rows: Rows, events: Sequence[Recorded[Any]], told: Any) -> None:
    async with rows.cursor() as cursor:
        await cursor.executemany(
            STEP,
            [
                (each.tenant, each.actor, each.version, each.at, type(each.event).__name__, *told(each.event))
                for each in events
            ],
        )
