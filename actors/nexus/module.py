"""How Nexus plugs in."""

from __future__ import annotations

from actors.nexus.subscription import Subscription
from datapunk import Module
from projections.nexus.find_subscriptions import get_subscription, list_subscriptions
from projections.nexus.subscriptions import Subscriptions

nexus = Module(
    name="nexus",
    schemas="schemas.nexus",
    actors=[Subscription],
    projections=[Subscriptions],
    queries=[get_subscription, list_subscriptions],
    description="Webhooks: deliver events to URLs.",
)
