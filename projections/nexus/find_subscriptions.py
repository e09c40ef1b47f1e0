"""`nexus.GetSubscription` and `nexus.ListSubscriptions`."""

from __future__ import annotations

from typing import Any

from datapunk import Asked, Rejected, answers
from projections.nexus.subscriptions import Subscriptions
from schemas.nexus.queries import GetSubscription, ListSubscriptions, Subscription, SubscriptionList
from schemas.nexus.types import SubscriptionState, SubscriptionSummary

MAX_PAGE = 1000  # subscriptions
# How it fares isn't told by events: the dispatcher and who delivers keep it beside (`tasks.nexus`).
SUMMARY = """
    select id, url, pattern, description, is_paused, secret,
        coalesce(feed.position, start_after), coalesce(feed.delivered, 0), coalesce(feed.failed, 0),
        coalesce(feed.dead, 0), feed.last_failure, feed.last_failure_at,
        created_at, updated_at
    from nexus_subscriptions.subscriptions subscription
    left join feeds feed
        on feed.feed = 'nexus.webhooks' and feed.tenant = subscription.tenant and feed.receiver = subscription.id
    where subscription.tenant = %s
"""


@answers(GetSubscription, Subscriptions)
async def get_subscription(query: GetSubscription, asked: Asked) -> Subscription:
    """One subscription, or `subscription_unknown`."""
    cursor = await asked.rows.execute(
        f"{SUMMARY} and id = %s",
        (asked.tenant, query.subscription),
    )
    row = await cursor.fetchone()
    if row is None:
        raise Rejected("subscription_unknown", f"there is no subscription {query.subscription}")
    return Subscription(summary=_summary(row))


@answers(ListSubscriptions, Subscriptions)
async def list_subscriptions(query: ListSubscriptions, asked: Asked) -> SubscriptionList:
    """A page of subscriptions by id."""
    if not 1 <= query.limit <= MAX_PAGE:
        raise Rejected("limit_invalid", f"limit must be 1 to {MAX_PAGE}, not {query.limit}")
    cursor = await asked.rows.execute(
        f"{SUMMARY} and starts_with(id, %s) and id > %s order by id limit %s",
        (asked.tenant, query.prefix, query.after or "", query.limit + 1),
    )
    found = [_summary(row) for row in await cursor.fetchall()]
    page = found[: query.limit]
    return SubscriptionList(subscriptions=page, next=page[-1].subscription if len(found) > query.limit else None)


def _summary(row: Any) -> SubscriptionSummary:
    id, url, pattern, description, is_paused, secret, *fares, created_at, updated_at = row
    position, delivered, failed, dead, last_failure, last_failure_at = fares
    return SubscriptionSummary(
        subscription=id,
        url=url,
        pattern=pattern,
        description=description,
        state=SubscriptionState.Paused if is_paused else SubscriptionState.Active,
        secret=secret,
        position=position,
        delivered=delivered,
        failed=failed,
        dead=dead,
        last_failure=last_failure,
        last_failure_at=last_failure_at,
        created_at=created_at,
        updated_at=updated_at,
    )
