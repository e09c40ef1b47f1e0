"""How Nexus plugs in."""

from __future__ import annotations

from actors.nexus.bulk import Bulk
from actors.nexus.dead_letter import DeadLetter
from actors.nexus.keeper import Keeper
from actors.nexus.redriver import Redriving
from actors.nexus.subscription import Subscription
from actors.nexus.watch import Watch
from datapunk import Module
from datapunk.hook import Hook
from datapunk.messages.registry import Registry
from datapunk.module import Service
from datapunk.settings import Settings
from projections.nexus.bulks import Bulks
from projections.nexus.dead_letters import DeadLetters
from projections.nexus.find_bulks import get_bulk, list_bulks
from projections.nexus.find_dead_letters import count_dead_letters, find_dead_letters, get_dead_letter
from projections.nexus.find_subscriptions import get_subscription, list_subscriptions
from projections.nexus.subscriptions import Subscriptions


def _webhooks(settings: Settings, registry: Registry, at: Hook) -> Service:
    from tasks.nexus.dispatcher import dispatchers  # what it needs is large, and not every command's

    return dispatchers(settings, registry, at)


nexus = Module(
    name="nexus",
    schemas="schemas.nexus",
    actors=[DeadLetter, Bulk, Subscription],
    projections=[DeadLetters, Bulks, Subscriptions],
    queries=[
        count_dead_letters,
        find_dead_letters,
        get_dead_letter,
        get_bulk,
        list_bulks,
        get_subscription,
        list_subscriptions,
    ],
    workflows="workflows.nexus",
    services={"keeper": Keeper, "redriver": Redriving, "watch": Watch, "webhooks": _webhooks},
    tasks="tasks.nexus.webhooks:Webhooks",
    description="Dead letters: keep, show, edit and redrive them. Webhooks: deliver events to URLs.",
)
