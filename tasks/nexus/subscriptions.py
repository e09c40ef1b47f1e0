"""What webhooks read and write of subscriptions."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection
from psycopg.rows import args_row

from datapunk.store.feeds import Feeds

FEED = "nexus.webhooks"
feeds = Feeds(FEED)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be delivered.

    Attributes:
        tenant: whose subscription it is.
        id: its id.
        pattern: which events.
        start_after: the position to start after,
        started_by: as the event at this position said.
    """

    tenant: str
    id: str
    pattern: str
    start_after: int
    started_by: int


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where it's to be delivered, and signed with what.

    Attributes:
        url: where.
        is_paused: whether to wait.
        secret: the id of the secret.
        previous_secret: the id of the one before, which signs, too, until
        previous_until: then.
    """

    url: str
    is_paused: bool
    secret: UUID
    previous_secret: UUID | None
    previous_until: datetime | None

    def secrets(self, now: datetime) -> list[UUID]:
        """The ids of those that sign now."""
        is_over = self.previous_secret is None or self.previous_until is None or self.previous_until <= now
        return [self.secret] if is_over else [self.secret, self.previous_secret]  # type: ignore[list-item]


async def wanted_now(conn: AsyncConnection[Any]) -> list[Wanted]:
    """All subscriptions that aren't paused."""
    cursor = await conn.execute("select to_regclass('nexus_subscriptions.subscriptions') is null")
    if (await cursor.fetchone() or (True,))[0]:
        return []  # its projection makes the table when it first runs
    async with conn.cursor(row_factory=args_row(Wanted)) as cursor:
        await cursor.execute(
            "select tenant, id, pattern, start_after, started_by from nexus_subscriptions.subscriptions "
            "where not is_paused"
        )
        return await cursor.fetchall()


async def endpoint_of(conn: AsyncConnection[Any], tenant: str, id: str) -> Endpoint | None:
    """Where a subscription delivers; None if it's over."""
    async with conn.cursor(row_factory=args_row(Endpoint)) as cursor:
        await cursor.execute(
            "select url, is_paused, secret, previous_secret, previous_until from nexus_subscriptions.subscriptions "
            "where tenant = %s and id = %s",
            (tenant, id),
        )
        return await cursor.fetchone()
