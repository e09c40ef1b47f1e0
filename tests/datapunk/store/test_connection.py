"""Connections to Postgres: how long a server may be silent, if the network swallows all that is sent to it."""

from __future__ import annotations

import socket
from typing import Any

import pytest
from psycopg import AsyncConnection
from psycopg.conninfo import make_conninfo

from datapunk.store.connection import SILENCE_S, connect


def option(conn: AsyncConnection[Any], name: str) -> int:
    """What the kernel was told."""
    if not hasattr(socket, name):
        pytest.skip(f"this system has no {name}")
    with socket.socket(fileno=socket.dup(conn.fileno())) as line:
        return line.getsockopt(socket.IPPROTO_TCP, getattr(socket, name))


async def test_what_is_sent_must_arrive_within_the_limit(connection: AsyncConnection[Any]) -> None:
    assert option(connection, "TCP_USER_TIMEOUT") == SILENCE_S * 1000


async def test_an_idle_connection_is_looked_after_within_the_limit(connection: AsyncConnection[Any]) -> None:
    idle, interval, count = (option(connection, f"TCP_KEEP{name}") for name in ("IDLE", "INTVL", "CNT"))
    assert idle + interval * count <= SILENCE_S


async def test_the_url_may_have_another_limit(database_url: str) -> None:
    async with await connect(make_conninfo(database_url, tcp_user_timeout=7_000)) as conn:
        assert option(conn, "TCP_USER_TIMEOUT") == 7_000
