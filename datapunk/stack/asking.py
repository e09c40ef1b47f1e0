"""Asking a server by its address whether it's there, whoever started it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from datapunk.stack.amqp import ask_rabbitmq, ask_rabbitmq_management
from datapunk.stack.postgres import Postgres, ask_postgres
from datapunk.stack.rabbitmq import RabbitMQ
from datapunk.stack.redis import Redis, ask_redis
from datapunk.stack.temporal import Temporal, ask_temporal


@dataclass(frozen=True, slots=True)
class Server:
    """One kind of server: the settings that say where it is, the decisive one first, and how to ask it."""

    name: str
    title: str
    settings: tuple[str, ...]
    ask: Callable[[str], str]

    @property
    def variables(self) -> tuple[str, ...]:
        """The settings as environment variables."""
        return tuple(f"DATAPUNK_{setting.upper()}" for setting in self.settings)


def _ask_any_database(url: str) -> str:
    # The named database may not be there yet; the server is what counts.
    return ask_postgres(urlsplit(url)._replace(path="/postgres").geturl())


SERVERS = {
    server.name: server
    for server in (
        Server(Postgres.name, Postgres.title, ("database_url",), _ask_any_database),
        Server(RabbitMQ.name, RabbitMQ.title, ("broker_url", "broker_management_url"), ask_rabbitmq),
        Server(Redis.name, Redis.title, ("redis_url",), ask_redis),
        Server(Temporal.name, Temporal.title, ("temporal_address", "temporal_ui_url"), ask_temporal),
    )
}
"""All servers by their name, in the order in which they are shown."""


def ask_server(name: str, endpoints: Mapping[str, str]) -> str:
    """Ask the server called `name` at its address among the `DATAPUNK_*` variables; returns its version.

    Raises:
        NotAnswering: it doesn't answer.
    """
    version = SERVERS[name].ask(endpoints[SERVERS[name].variables[0]])
    if name == RabbitMQ.name:
        ask_rabbitmq_management(endpoints["DATAPUNK_BROKER_MANAGEMENT_URL"])
    return version
