"""The way of one command, step by step with times, from what the store remembers of it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection
from psycopg.rows import dict_row

from datapunk.messages.outcome import Outcome
from datapunk.messages.registry import Registry
from datapunk.store.events import InboxEntry, RecordedEvent
from datapunk.store.inbox import lookup_many
from datapunk.store.read import events_of_command
from datapunk.store.statements import statement


class State(StrEnum):
    """Whether a step was made."""

    DONE = "done"
    WAITING = "waiting"


@dataclass(frozen=True)
class Step:
    """One step.

    Attributes:
        name: sent, received, committed, published, or projected.
        state: whether it was made.
        at: when, as far as that's recorded.
        is_latest: `at` is only the latest that it can have been.
        detail: for a person.
    """

    name: str
    state: State
    at: datetime | None = None
    is_latest: bool = False
    detail: str = ""


@dataclass(frozen=True)
class Journey:
    """A processed command.

    Attributes:
        command: what the inbox has of it.
        outcome: what was replied.
        events: what it led to.
        metadata: what was known of its sender: correlation id, traceparent, …
        steps: in order.
    """

    command: InboxEntry
    outcome: Outcome
    events: list[RecordedEvent]
    metadata: dict[str, str] = field(default_factory=dict[str, str])
    steps: list[Step] = field(default_factory=list[Step])


async def journey_of(
    conn: AsyncConnection[Any], registry: Registry, tenant: str, id: UUID, listening: dict[str, Collection[str]]
) -> Journey | None:
    """The way of a command; None if it wasn't processed here (yet), or its record was pruned.

    Args:
        conn: to the store.
        registry: reads the stored outcome.
        tenant: whose command.
        id: the command's.
        listening: the types of event that each projection applies, by the projection's full name.
    """
    entries = await lookup_many(conn, [(tenant, id)])
    if not entries:
        return None
    entry = entries[0]
    events = await events_of_command(conn, tenant, id)
    outcome = registry.codec(Outcome).decode_binary(entry.reply)
    metadata = dict(events[0].metadata) if events else {}
    steps = [*_arrival(metadata), _commit(entry, outcome, events)]
    if events:
        steps.append(await _publication(conn, events))
        steps += await _projections(conn, events, listening)
    return Journey(entry, outcome, events, metadata, steps)


def _arrival(metadata: dict[str, str]) -> list[Step]:
    steps: list[Step] = []
    sender = metadata.get("app_id") or metadata.get("user_id")
    for name, key, detail in (
        ("sent", "sent_at", f"by {sender}" if sender else ""),
        ("received", "received_at", "by its shard"),
    ):
        if key in metadata:
            steps.append(Step(name, State.DONE, datetime.fromisoformat(metadata[key]), detail=detail))
    return steps


def _commit(entry: InboxEntry, outcome: Outcome, events: Sequence[RecordedEvent]) -> Step:
    if not events:
        word = outcome.status.value.lower()
        why = f"{outcome.code}: {outcome.message}" if outcome.code else "it changed nothing"
        return Step("decided", State.DONE, entry.at, detail=f"{word}, no events ({why})")
    what = ", ".join(f"{event.type} (version {event.version}, position {event.position})" for event in events)
    return Step("committed", State.DONE, events[0].at, detail=what)


async def _publication(conn: AsyncConnection[Any], events: Sequence[RecordedEvent]) -> Step:
    cursor = await conn.execute(statement("count_unconfirmed"), {"positions": [event.position for event in events]})
    row = await cursor.fetchone()
    if row and row[0]:
        return Step("published", State.WAITING, detail="not confirmed by the broker yet, or only just")
    return Step("published", State.DONE, detail="confirmed by the broker")


async def _projections(
    conn: AsyncConnection[Any], events: Sequence[RecordedEvent], listening: dict[str, Collection[str]]
) -> list[Step]:
    steps: list[Step] = []
    async with conn.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(statement("query_projections"))
        rows = {str(row["name"]): row for row in await cursor.fetchall()}
    for name, types in sorted(listening.items()):
        positions = [event.position for event in events if event.type in types]
        if not positions:
            continue
        row = rows.get(name)
        reached = int(row["position"] or 0) if row else 0
        if row and reached >= positions[-1]:
            steps.append(Step("projected", State.DONE, row["updated_at"], is_latest=True, detail=f"into {name}"))
            continue
        why = "never ran" if row is None else f"is at position {reached}"
        if row and row["is_paused"]:
            why += ", paused"
        if row and row["error"]:
            why += f", failing: {row['error']}"
        steps.append(Step("projected", State.WAITING, detail=f"{name} {why}"))
    return steps
