"""`nexus.GetSubscription` and `nexus.ListSubscriptions`."""

from __future__ import annotations

from typing import Any

from datapunk import Asked, Rejected, answers
from projections.nexus.subscriptions import Subscriptions
from schemas.nexus.queries import GetSubscription, ListSubscriptions, Subscription, SubscriptionList
from schemas.nexus.types import SubscriptionState, SubscriptionSummary

MAX_PAGE = 1000  # subscriptions
SUMMARY = "id, url, pattern, description, is_paused, secret, created_at, updated_at"


@answers(GetSubscription, Subscriptions)
async def get_subscription(query: GetSubscription, asked: Asked) -> Subscription:
    """One subscription, or `subscription_unknown`."""
    cursor = await asked.rows.execute(
        f"select {SUMMARY} from nexus_subscriptions.subscriptions where tenant = %s and id = %s",  # noqa: S608  # a constant
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
        f"select {SUMMARY} from nexus_subscriptions.subscriptions"  # noqa: S608  # a constant
        " where tenant = %s and starts_with(id, %s) and id > %s order by id limit %s",
        (asked.tenant, query.prefix, query.after or "", query.limit + 1),
    )
    found = [_summary(row) for row in await cursor.fetchall()]
    page = found[: query.limit]
    return SubscriptionList(subscriptions=page, next=page[-1].subscription if len(found) > query.limit else None)


def _summary(row: Any) -> SubscriptionSummary:
    id, url, pattern, description, is_paused, secret, created_at, updated_at = row
    return SubscriptionSummary(
        subscription=id,
        url=url,
        pattern=pattern,
        description=description,
        state=SubscriptionState.Paused if is_paused else SubscriptionState.Active,
        secret=secret,
        created_at=created_at,
        updated_at=updated_at,
    )
