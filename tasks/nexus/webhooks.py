"""Delivers events to the URLs of subscriptions.

What is delivered, where and signed with what is looked up for each attempt. No order is promised: deliveries of a
subscription overtake each other, and one that failed comes later; `position` in the body tells.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from random import uniform
from typing import Any

import psycopg
from psycopg_pool import PoolTimeout
from purgatory import AsyncCircuitBreakerFactory, AsyncRedisUnitOfWork
from purgatory.domain.messages.events import ContextChanged
from purgatory.domain.model import OpenedState
from redis.asyncio import Redis
from redis.exceptions import RedisError

from datapunk.broker.topology import task_queue
from datapunk.errors import ConfigurationError, SecretUnreadable
from datapunk.messages.catalogue import Catalogue
from datapunk.messages.registry import Registry
from datapunk.messages.shown import cloud_event
from datapunk.module import Module
from datapunk.settings import Settings
from datapunk.store.connection import pool
from datapunk.store.read import events_at
from datapunk.store.vault import Vault
from datapunk.tasks.performing import Failed, Patience, Postponed, Tasks, performs
from datapunk.telemetry import logs, metrics
from schemas.nexus.tasks import DeliverEvent
from tasks.nexus.lanes import Lanes
from tasks.nexus.sending import Sender, Undelivered
from tasks.nexus.settings import WebhookSettings
from tasks.nexus.signing import SecretUnfit, headers_of
from tasks.nexus.subscriptions import Endpoint, endpoint_of, feeds
from tasks.nexus.under_way import UnderWay, patient_url, prefix_of

FAILED = "webhook_failed"
CONTENT_TYPE = "application/cloudevents+json"
PAUSED_S = 5.0  # until a paused subscription is looked at again
AWAY_S = 5.0  # until Postgres or Redis is asked again
CONNECTIONS = 8  # to Postgres, a process: an attempt needs one for moments
MARGIN_S = 30.0  # by which the hard limit of an attempt is longer than its own

log = logs.get_logger(__name__)


class Webhooks(Tasks):
    """The tasks of Nexus."""

    module = "nexus"

    def __init__(self, settings: Settings, registry: Registry, modules: Sequence[Module]) -> None:
        super().__init__(settings, registry, modules)
        self._own = own = WebhookSettings()
        self.patience = Patience(
            attempts=own.attempts,
            first_s=own.first_retry_s,
            longest_s=own.longest_retry_s,
            life_s=own.life_s,
            limit_s=own.timeout_s + MARGIN_S,
        )
        self._catalogue = Catalogue(registry, modules)
        self._lanes = Lanes(own.lane)
        self._prefix = prefix_of(settings.database_url)

    async def open(self) -> None:
        """Open what connections are taken from."""
        self._sender = Sender(self._own, self.settings.task_threads)
        self._pool = pool(self.settings.database_url, least=0, most=CONNECTIONS)
        await self._pool.open()
        redis_url = patient_url(self.settings.redis_url)
        self._redis = Redis.from_url(redis_url)
        self._under_way = UnderWay(self._redis, self._prefix)
        self._breakers = AsyncCircuitBreakerFactory(
            self._own.breaker_failures, self._own.breaker_rest_s, uow=AsyncRedisUnitOfWork(redis_url)
        )
        self._breakers.add_listener(count_changes)

    async def close(self) -> None:
        """Close all of it."""
        await self._sender.close()
        await self._pool.close()
        await self._redis.aclose()

    @performs(DeliverEvent)
    async def deliver(self, task: DeliverEvent) -> None:
        """Make one attempt."""
        async with away_is_no_failure(), self._pool.connection() as conn:
            endpoint = await endpoint_of(conn, task.tenant, task.subscription)
        if endpoint is None:
            await self._finish(task)
            return
        if endpoint.is_paused:
            raise Postponed("the subscription is paused", PAUSED_S)
        async with self._lanes.of((task.tenant, task.subscription)) as has_lane:
            if not has_lane:
                raise Postponed("others of the subscription are being delivered", await self._turn_s(task))
            try:
                await self._attempt(task, endpoint)
            except (Undelivered, SecretUnfit, SecretUnreadable) as error:
                await self._count_failed(task, str(error))
                raise Failed(FAILED, str(error)) from None
        await self._finish(task)
        await self._count_delivered(task)

    async def gave_up(self, task: Any, reason: str) -> None:
        """It's among the dead letters, and makes room for another one."""
        await self._finish(task)
        async with counting(task), self._pool.connection() as conn:
            await feeds.count_dead(conn, task.tenant, task.subscription)

    async def _attempt(self, task: DeliverEvent, endpoint: Endpoint) -> None:
        async with away_is_no_failure():
            body = await self._body(task)
            secrets = await self._secrets(task.tenant, endpoint)
            breaker = await self._breakers.get_breaker(f"{self._prefix}:{task.tenant}/{task.subscription}")
        headers = headers_of(str(task.event), int(time.time()), body, secrets)
        is_sent = False
        try:
            async with breaker:
                await self._sender.send(endpoint.url, {"content-type": CONTENT_TYPE, **headers}, body)
                is_sent = True
        except OpenedState:
            rest_s = self._own.breaker_rest_s
            again_s = uniform(rest_s / 2, rest_s)  # noqa: S311  # no secret
            raise Postponed("the endpoint is left alone for a while", again_s) from None
        except RedisError as error:  # the breaker couldn't remember how it went
            if not is_sent:
                raise Undelivered(f"it failed, and so did Redis: {error}") from error
            log.warning("redis_away", detail=str(error))

    async def _body(self, task: DeliverEvent) -> bytes:
        async with self._pool.connection() as conn:
            events = await events_at(conn, [task.position])
            await self.registry.learn_of(conn, events)
        if not events or (events[0].id, events[0].tenant) != (task.event, task.tenant):
            raise Undelivered(f"the store has no event {task.event} at position {task.position}")
        return cloud_event(events[0], self.registry, self._catalogue)

    async def _secrets(self, tenant: str, endpoint: Endpoint) -> list[str]:
        wanted = endpoint.secrets(datetime.now(UTC))
        async with self._pool.connection() as conn:
            known = await self._vault().get(conn, tenant, wanted)
        if endpoint.secret not in known:
            raise Undelivered(f"there's no secret {endpoint.secret}; `datapunk secrets create` makes one")
        return [known[id] for id in wanted if id in known]

    def _vault(self) -> Vault:
        """Opened when it's needed: the first secret of a machine makes its key."""
        try:
            return Vault.of(self.settings)
        except ConfigurationError as error:
            log.warning("no_key", detail=str(error))
            raise Postponed(str(error), AWAY_S) from None

    async def _turn_s(self, task: DeliverEvent) -> float:
        """When its turn may come, with so many before it; about as long as they all take."""
        async with away_is_no_failure():
            _, waiting = await self._under_way.count(task.tenant, task.subscription)
        return self._lanes.turn_s((task.tenant, task.subscription), waiting)

    async def _finish(self, task: DeliverEvent) -> None:
        try:
            await self._under_way.remove(task.tenant, task.subscription, task.position)
        except RedisError as error:  # it's forgotten later, and needn't be delivered again
            log.warning("redis_away", detail=str(error))

    async def _count_delivered(self, task: DeliverEvent) -> None:
        async with counting(task), self._pool.connection() as conn:
            await feeds.count_delivered(conn, task.tenant, task.subscription)

    async def _count_failed(self, task: DeliverEvent, failure: str) -> None:
        log.warning(
            "webhook_failed",
            tenant=task.tenant,
            subscription=task.subscription,
            position=task.position,
            detail=failure,
        )
        async with counting(task), self._pool.connection() as conn:
            await feeds.count_failed(conn, task.tenant, task.subscription, failure)
            await self._under_way.wait(task.tenant, task.subscription, task.position)


def count_changes(name: str, what: str, event: Any) -> None:
    """Called by a breaker to which something happened."""
    if isinstance(event, ContextChanged):
        metrics.BREAKER_CHANGES.labels(service=task_queue(Webhooks.module), state=event.state).inc()


@asynccontextmanager
async def away_is_no_failure() -> AsyncIterator[None]:
    """Put the task off while Postgres or Redis doesn't answer; its receiver has done nothing wrong."""
    try:
        yield
    except (psycopg.Error, PoolTimeout, RedisError) as error:
        raise Postponed(f"{type(error).__name__}: {error}", AWAY_S) from error


@asynccontextmanager
async def counting(task: DeliverEvent) -> AsyncIterator[None]:
    """What can't be counted isn't: it's no reason to deliver again."""
    try:
        yield
    except (psycopg.Error, PoolTimeout, RedisError) as error:
        log.warning("not_counted", tenant=task.tenant, subscription=task.subscription, detail=str(error))
