"""The list of subscriptions: what is to be delivered where."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from datapunk import Projection, Recorded, Rows, projects
from schemas.nexus.events import (
    SecretRotated,
    Subscribed,
    SubscriptionPaused,
    SubscriptionReplayed,
    SubscriptionResumed,
    Unsubscribed,
)


class Subscriptions(Projection):
    """One row a subscription; one that is over is gone from here.

    `started_by` is the position of the event that said, latest, to start after `start_after`.
    """

    module = "nexus"
    name = "subscriptions"

    @projects(Subscribed)
    async def subscribed(self, rows: Rows, events: Sequence[Recorded[Subscribed]]) -> None:
        """Add a row each."""
        async with rows.cursor() as cursor:
            await cursor.executemany(
                """
                insert into subscriptions
                    (tenant, id, url, pattern, description, secret, start_after, started_by, created_at, updated_at)
                values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
                """,
                [
                    (
                        recorded.tenant,
                        recorded.actor,
                        recorded.event.url,
                        recorded.event.pattern,
                        recorded.event.description,
                        recorded.event.secret,
                        recorded.position if recorded.event.after is None else recorded.event.after,
                        recorded.position,
                        recorded.at,
                        recorded.at,
                    )
                    for recorded in events
                ],
            )

    @projects(Unsubscribed)
    async def unsubscribed(self, rows: Rows, events: Sequence[Recorded[Unsubscribed]]) -> None:
        """Remove the row."""
        async with rows.cursor() as cursor:
            await cursor.executemany(
                "delete from subscriptions where tenant = %s and id = %s",
                [(recorded.tenant, recorded.actor) for recorded in events],
            )

    @projects(SubscriptionPaused)
    async def paused(self, rows: Rows, events: Sequence[Recorded[SubscriptionPaused]]) -> None:
        """It holds back."""
        await self._pause(rows, True, events)

    @projects(SubscriptionResumed)
    async def resumed(self, rows: Rows, events: Sequence[Recorded[SubscriptionResumed]]) -> None:
        """It goes on."""
        await self._pause(rows, False, events)

    @projects(SecretRotated)
    async def rotated(self, rows: Rows, events: Sequence[Recorded[SecretRotated]]) -> None:
        """Change the secret, and remember the one before as long as it signs, too."""
        async with rows.cursor() as cursor:
            await cursor.executemany(
                "update subscriptions set secret = %s, previous_secret = %s, previous_until = %s, updated_at = %s "
                "where tenant = %s and id = %s",
                [
                    (
                        recorded.event.secret,
                        recorded.event.previous,
                        recorded.at + timedelta(seconds=recorded.event.keep_previous_s),
                        recorded.at,
                        recorded.tenant,
                        recorded.actor,
                    )
                    for recorded in events
                ],
            )

    @projects(SubscriptionReplayed)
    async def replayed(self, rows: Rows, events: Sequence[Recorded[SubscriptionReplayed]]) -> None:
        """Start anew."""
        async with rows.cursor() as cursor:
            await cursor.executemany(
                "update subscriptions set start_after = %s, started_by = %s, updated_at = %s "
                "where tenant = %s and id = %s",
                [
                    (recorded.event.after, recorded.position, recorded.at, recorded.tenant, recorded.actor)
                    for recorded in events
                ],
            )

    async def _pause(
        self,
        rows: Rows,
        is_paused: bool,
        events: Sequence[Recorded[SubscriptionPaused]] | Sequence[Recorded[SubscriptionResumed]],
    ) -> None:
        async with rows.cursor() as cursor:
            await cursor.executemany(
                "update subscriptions set is_paused = %s, updated_at = %s where tenant = %s and id = %s",
                [(is_paused, recorded.at, recorded.tenant, recorded.actor) for recorded in events],
            )
