"""Which parts to start, and where: from the settings, for a person's stack or for one test run."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from datapunk.errors import ConfigurationError, NotAnswering
from datapunk.settings import Settings
from datapunk.stack.asking import SERVERS, Server
from datapunk.stack.part import Part
from datapunk.stack.ports import LOOPBACK, free_ports, preferred_or_free
from datapunk.stack.postgres import Postgres
from datapunk.stack.rabbitmq import RabbitMQ, RabbitMQPorts
from datapunk.stack.record import PartState, PartStatus
from datapunk.stack.redis import Redis
from datapunk.stack.temporal import Temporal

# The servers' well-known ports, ten up: out of the way of the system's own.
STREAM_PORT, METRICS_PORT, DISTRIBUTION_PORT, EPMD_PORT, TEMPORAL_METRICS_PORT = (
    5562,
    15702,
    25682,
    4379,
    9243,
)


@dataclass(frozen=True, slots=True)
class Plan:
    """The parts that we start, and those that run already and are used as they are."""

    parts: tuple[Part, ...]
    external: tuple[PartStatus, ...] = ()
    external_endpoints: Mapping[str, str] = field(default_factory=dict[str, str])


def chosen(only: Collection[str]) -> tuple[str, ...]:
    """The names of the parts to start: all, or `only` these.

    Raises:
        ConfigurationError: one of them is no part.
    """
    unknown = sorted(set(only) - set(SERVERS))
    if unknown:
        raise ConfigurationError(f"no such part: {', '.join(unknown)}; there are {', '.join(SERVERS)}")
    return tuple(name for name in SERVERS if not only or name in only)


def user_settings() -> Settings:
    """The settings as the user made them: without what an earlier start wrote to `endpoints.env`."""
    return Settings(_env_file=".env")  # pyright: ignore[reportCallIssue]  # every field has a default


def plan_from_settings(directory: Path, settings: Settings, only: Collection[str] = ()) -> Plan:
    """The stack for a person: on the ports that the settings name.

    A server that the user named by its URL, and that answers there already, is used as it is.

    Raises:
        ConfigurationError: an unknown part in `only`, or a URL on another machine where nothing answers.
    """
    parts: list[Part] = []
    external: list[PartStatus] = []
    endpoints: dict[str, str] = {}
    for name in chosen(only):
        server = SERVERS[name]
        version = _already_running(server, settings)
        if version is None:
            parts.append(part_from_settings(name, directory, settings, throwaway=False))
            continue
        addresses = {f"DATAPUNK_{setting.upper()}": str(getattr(settings, setting)) for setting in server.settings}
        status = PartStatus(name=name, title=server.title, where=addresses[server.variables[0]])
        external.append(msgspec.structs.replace(status, state=PartState.EXTERNAL, version=version))
        endpoints |= addresses
    return Plan(tuple(parts), tuple(external), endpoints)


def plan_on_free_ports(directory: Path, only: Collection[str] = (), *, throwaway: bool = True) -> Plan:
    """A stack beside any other: every port is one that was free a moment ago."""
    postgres, amqp, management, redis, temporal, ui, *further = free_ports(11)
    settings = Settings(  # pyright: ignore[reportCallIssue]  # every other field has a default
        broker_url=f"amqp://guest:guest@{LOOPBACK}:{amqp}/",
        broker_management_url=f"http://guest:guest@{LOOPBACK}:{management}",
        database_url=f"postgresql://postgres@{LOOPBACK}:{postgres}/datapunk",
        redis_url=f"redis://{LOOPBACK}:{redis}/0",
        temporal_address=f"{LOOPBACK}:{temporal}",
        temporal_ui_url=f"http://{LOOPBACK}:{ui}",
    )
    return Plan(
        tuple(part_from_settings(name, directory, settings, further, throwaway=throwaway) for name in chosen(only))
    )


def part_from_settings(
    name: str,
    directory: Path,
    settings: Settings,
    further: list[int] | None = None,
    *,
    throwaway: bool = False,
) -> Part:
    """The part called `name`, on the settings' ports; those without a setting are `further`, or free ones."""
    home = directory / name
    match name:
        case "postgres":
            return Postgres(home, settings.database_url, throwaway=throwaway)
        case "rabbitmq":
            ports = (STREAM_PORT, METRICS_PORT, DISTRIBUTION_PORT, EPMD_PORT)
            numbers = further[:4] if further else [preferred_or_free(port) for port in ports]
            return RabbitMQ(
                home,
                settings.broker_url,
                settings.broker_management_url,
                RabbitMQPorts(*numbers),
                throwaway=throwaway,
            )
        case "redis":
            return Redis(home, settings.redis_url, throwaway=throwaway)
        case _:
            return Temporal(
                home,
                settings.temporal_address,
                settings.temporal_ui_url,
                further[4] if further else preferred_or_free(TEMPORAL_METRICS_PORT),
                downloads=directory / "downloads",
                throwaway=throwaway,
            )


def _already_running(server: Server, settings: Settings) -> str | None:
    """The version of the server that the user named, if it answers; None when one is to be started there."""
    setting = server.settings[0]
    if setting not in settings.model_fields_set:
        return None
    url = str(getattr(settings, setting))
    try:
        return server.ask(url)
    except NotAnswering as error:
        if _is_here(url):
            return None
        raise ConfigurationError(
            f"DATAPUNK_{setting.upper()} is on another machine, and doesn't answer: {error}"
        ) from None


def _is_here(url: str) -> bool:
    host = urlsplit(url if "://" in url else f"//{url}").hostname
    return host in ("localhost", LOOPBACK, "::1", None)
