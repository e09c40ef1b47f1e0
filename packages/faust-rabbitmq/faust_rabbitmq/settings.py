"""What the broker's URL says, and what comes with it."""

from __future__ import annotations

import os
import ssl
from dataclasses import dataclass
from urllib.parse import quote

from yarl import URL

from faust_rabbitmq.stream.connection import Place

__all__ = ["DATABASE_VARIABLE", "Settings", "read_url"]

DATABASE_VARIABLE = "FAUST_RABBITMQ_DATABASE_URL"
_AMQP_PORT, _STREAM_PORT = 5672, 5552
_AMQPS_PORT, _STREAM_TLS_PORT = 5671, 5551
_LEASE_S = 6.0


@dataclass(frozen=True)
class Settings:
    """Where everything is."""

    amqp_url: str
    stream: Place
    database_url: str
    lease_s: float
    """How long a worker may be silent before others get its partitions."""


def read_url(url: URL, tls: ssl.SSLContext | None = None) -> Settings:
    """Read `rabbitmq://user:password@host:port/vhost?stream_port=5552&database=postgresql://…&lease_s=6`.

    Args:
        url: the URL of the app's broker; `rabbitmqs://` speaks TLS. All but the host may be left out.
        tls: how to speak it, if not in Python's default way.

    Raises:
        ValueError: something in it can't be.
    """
    is_secure = url.scheme.endswith("s")
    if is_secure and tls is None:
        tls = ssl.create_default_context()
    host = url.host or "127.0.0.1"
    user, password = url.user or "guest", url.password or "guest"
    virtual_host = url.path.removeprefix("/") or "/"
    stream_port = int(url.query.get("stream_port", _STREAM_TLS_PORT if is_secure else _STREAM_PORT))
    amqp = URL.build(
        scheme="amqps" if is_secure else "amqp",
        user=user,
        password=password,
        host=host,
        port=url.port or (_AMQPS_PORT if is_secure else _AMQP_PORT),
    )
    database_url = url.query.get("database") or os.environ.get(DATABASE_VARIABLE)
    if not database_url:
        raise ValueError(
            f"no database for offsets and leases: set {DATABASE_VARIABLE}, or add ?database=postgresql://… to the URL"
        )
    lease_s = float(url.query.get("lease_s", _LEASE_S))
    if lease_s < 1:
        raise ValueError(f"lease_s is {lease_s:g}; a worker needs a second at least to show that it lives")
    return Settings(
        amqp_url=f"{str(amqp).removesuffix('/')}/{quote(virtual_host, safe='')}",
        stream=Place(host, stream_port, user, password, virtual_host, tls if is_secure else None),
        database_url=database_url,
        lease_s=lease_s,
    )
