"""What a module has at the broker: exchanges, queues and bindings, as data, and how they're declared."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import aio_pika
import psycopg
from aio_pika.exceptions import AMQPError
from psycopg import AsyncConnection

from datapunk.broker.dead_letter import DEAD, DEAD_SUFFIX
from datapunk.errors import BrokerError, ConfigurationError, ConnectionLost, MovedByBroker
from datapunk.module import Module
from datapunk.settings import Settings
from datapunk.store.connection import connect
from datapunk.store.statements import statement

UNROUTABLE = "datapunk.unroutable"  # exchange: alternate of all command and query exchanges
UNROUTABLE_QUEUE = "unroutable"
UNROUTABLE_DEAD_QUEUE = f"{UNROUTABLE_QUEUE}{DEAD_SUFFIX}"
# Quorum queues drop or dead-letter a message after so many deliveries, on RabbitMQ 4 after 20 by default. A
# command is redelivered whenever its process dies, which is no fault of its own.
DELIVERY_LIMIT = 1000
QUERY_TTL_MS = 60_000  # a query nobody took by then isn't waited for any more
WAITING = "DQ"  # ending of the queue of tasks whose time is yet to come; Dramatiq's name
# Of what the broker moved, only what a consumer rejected; "all" would pass over headers that start with x-.
REJECTED = {"x-match": "all-with-x", "x-first-death-reason": "rejected"}


@dataclass(frozen=True, slots=True)
class Exchange:
    """An exchange, durable."""

    name: str
    type: str
    arguments: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True, slots=True)
class Queue:
    """A queue, durable."""

    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True, slots=True)
class Binding:
    """From an exchange to a queue, or to another exchange."""

    source: str
    destination: str
    routing_key: str
    to_exchange: bool = False
    arguments: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True, slots=True)
class Topology:
    """All that a module needs."""

    module: str
    shards: int
    exchanges: tuple[Exchange, ...]
    queues: tuple[Queue, ...]
    bindings: tuple[Binding, ...]


def command_queue(module: str, shard: int) -> str:
    """The queue of a shard."""
    return f"{module}.commands.{shard}"


def query_queue(module: str) -> str:
    """The queue of a module's queries."""
    return f"{module}.queries"


def task_queue(module: str) -> str:
    """The queue of a module's tasks."""
    return f"{module}.tasks"


def waiting_queue(module: str) -> str:
    """The queue of those whose time is yet to come."""
    return f"{task_queue(module)}.{WAITING}"


def module_of_tasks(queue: str) -> str:
    """The module whose tasks a queue holds, or those of which that wait for their time."""
    return queue.partition(".")[0]


def task_queue_arguments(module: str) -> dict[str, Any]:
    """The arguments of both queues of a module's tasks."""
    return {"x-queue-type": "quorum", **_dead_lettering(module)}


def topology_of(module: Module, shards: int) -> Topology:
    """What a module has at the broker, when its commands are spread over so many shards."""
    name = module.name
    alternate = {"alternate-exchange": UNROUTABLE}
    shard_arguments = {
        "x-queue-type": "quorum",
        "x-single-active-consumer": True,
        **_dead_lettering(name),
    }
    commands = [command_queue(name, shard) for shard in range(shards)]
    tasks = [task_queue(name), waiting_queue(name)] if module.tasks else []
    return Topology(
        name,
        shards,
        exchanges=(
            Exchange(UNROUTABLE, "fanout"),
            Exchange(DEAD, "topic"),
            Exchange(f"{name}.commands", "direct", alternate),
            Exchange(f"{name}.shards", "x-consistent-hash", {"hash-header": "actor-id", **alternate}),
            Exchange(f"{name}.queries", "direct", alternate),
            Exchange(f"{name}.queries.dead", "headers"),
            Exchange(f"{name}.events", "topic"),
        ),
        queues=(
            Queue(UNROUTABLE_QUEUE, {**_dead_lettering(UNROUTABLE_QUEUE), "x-queue-type": "quorum"}),
            Queue(UNROUTABLE_DEAD_QUEUE, {"x-queue-type": "quorum"}),
            Queue(f"{name}{DEAD_SUFFIX}", {"x-queue-type": "quorum"}),
            Queue(
                query_queue(name),
                {
                    "x-queue-type": "classic",
                    "x-message-ttl": QUERY_TTL_MS,
                    "x-dead-letter-exchange": f"{name}.queries.dead",
                    "x-dead-letter-routing-key": f"{name}.{MovedByBroker.code}",
                },
            ),
            *(Queue(queue, shard_arguments) for queue in commands),
            *(Queue(queue, task_queue_arguments(name)) for queue in tasks),
        ),
        bindings=(
            Binding(UNROUTABLE, UNROUTABLE_QUEUE, ""),
            Binding(DEAD, UNROUTABLE_DEAD_QUEUE, f"{UNROUTABLE_QUEUE}.#"),
            Binding(DEAD, f"{name}{DEAD_SUFFIX}", f"{name}.#"),
            # Queries that a server can't read are kept. Those that nobody took in time are not: nobody waits for them.
            Binding(f"{name}.queries.dead", f"{name}{DEAD_SUFFIX}", "", arguments=REJECTED),
            *(Binding(f"{name}.commands", f"{name}.shards", type, to_exchange=True) for type in module.command_types),
            *(Binding(f"{name}.shards", queue, "1") for queue in commands),
            *(Binding(f"{name}.queries", query_queue(name), handler.query.message_type) for handler in module.queries),
        ),
    )


def _dead_lettering(module: str) -> dict[str, Any]:
    """Arguments of a quorum queue from which nothing gets lost, whoever gives up on it."""
    return {
        "x-delivery-limit": DELIVERY_LIMIT,
        "x-dead-letter-exchange": DEAD,
        "x-dead-letter-routing-key": f"{module}.{MovedByBroker.code}",
        "x-dead-letter-strategy": "at-least-once",
        "x-overflow": "reject-publish",  # which at-least-once dead-lettering needs
    }


async def apply(settings: Settings, module: Module) -> Topology:
    """Declare what a module needs; safe to repeat.

    The number of shards is settled by the first to come, in Postgres: `settings.shards` counts only then.

    Raises:
        ConfigurationError: if something is there already with other arguments.
        ConnectionLost: if the broker can't be reached.
    """
    async with await connect(settings.database_url) as conn:
        topology = topology_of(module, await _shards(conn, module, settings.shards))
    try:
        connection = await aio_pika.connect(settings.broker_url, timeout=10)
    except (AMQPError, OSError) as error:
        raise ConnectionLost(f"no broker answers: {error}; is it up? (`datapunk status`)") from None
    async with connection:
        await _declare(connection, topology)
    return topology


async def planned(settings: Settings, module: Module) -> Topology:
    """What `apply` would declare. The number of shards is the settled one, if Postgres answers and has one."""
    shards = settings.shards
    with suppress(psycopg.OperationalError, psycopg.errors.UndefinedTable):
        async with await connect(settings.database_url) as conn:
            cursor = await conn.execute(statement("query_shards"), {"name": module.name})
            row = await cursor.fetchone()
            shards = int(row[0]) if row else shards
    return topology_of(module, shards)


async def _shards(conn: AsyncConnection[Any], module: Module, wanted: int) -> int:
    cursor = await conn.execute(statement("settle_shards"), {"name": module.name, "shards": wanted})
    row = await cursor.fetchone()
    assert row is not None  # upserted
    return int(row[0])


async def _declare(connection: aio_pika.abc.AbstractConnection, topology: Topology) -> None:
    channel = await connection.channel()
    doing = ""
    try:
        for exchange in topology.exchanges:
            doing = f"exchange {exchange.name}"
            await channel.declare_exchange(
                exchange.name, exchange.type, durable=True, arguments=dict(exchange.arguments)
            )
        for queue in topology.queues:
            doing = f"queue {queue.name}"
            await channel.declare_queue(queue.name, durable=True, arguments=dict(queue.arguments))
        for binding in topology.bindings:
            doing = f"binding {binding.source} → {binding.destination}"
            source = await channel.get_exchange(binding.source, ensure=False)
            if binding.to_exchange:
                target = await channel.get_exchange(binding.destination, ensure=False)
                await target.bind(source, binding.routing_key, arguments=dict(binding.arguments))
            else:
                queue = await channel.get_queue(binding.destination, ensure=False)
                await queue.bind(source, binding.routing_key, arguments=dict(binding.arguments))
    except aio_pika.exceptions.ChannelPreconditionFailed as error:
        raise ConfigurationError(
            f"{doing} is there already with other arguments ({error}); delete it if it's empty, or use another vhost"
        ) from None
    except AMQPError as error:
        raise BrokerError(f"{doing} can't be declared: {error}") from None
