"""Servers that do fsync, and a virtual host and a database of its own for each program that is measured."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import httpx
import psycopg
from psycopg import sql

from datapunk.settings import Settings, load_settings
from datapunk.stack.running import Endpoints, running_stack
from tests.working import environment

PATIENCE_S = 300  # for a program, unless told otherwise


@contextmanager
def durable_servers() -> Generator[Endpoints]:
    """RabbitMQ and Postgres that do fsync."""
    with tempfile.TemporaryDirectory(prefix="datapunk-bench-") as folder:
        Path(folder).chmod(0o755)  # Postgres' own account enters it
        with running_stack(Path(folder), only=("postgres", "rabbitmq"), throwaway=False) as endpoints:
            yield endpoints


@contextmanager
def arena(endpoints: Endpoints) -> Generator[Settings]:
    """The settings of a virtual host and a database, which are gone afterwards."""
    name = f"bench_{uuid4().hex[:8]}"
    broker, database = urlsplit(endpoints.broker_url), urlsplit(endpoints.database_url)
    everything = {"configure": ".*", "write": ".*", "read": ".*"}
    admin = database._replace(path="/postgres").geturl()
    with (
        httpx.Client(base_url=endpoints.broker_management_url, timeout=30) as management,
        psycopg.connect(admin, autocommit=True) as conn,
    ):
        management.put(f"/api/vhosts/{name}").raise_for_status()
        management.put(f"/api/permissions/{name}/{broker.username}", json=everything).raise_for_status()
        conn.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
        try:
            yield load_settings().model_copy(
                update={
                    "broker_url": broker._replace(path=f"/{name}").geturl(),
                    "broker_management_url": endpoints.broker_management_url,
                    "database_url": database._replace(path=f"/{name}").geturl(),
                    "log_level": "warning",
                }
            )
        finally:
            conn.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))
            management.delete(f"/api/vhosts/{name}")


def run(endpoints: Endpoints, module: str, *arguments: str, patience_s: float = PATIENCE_S) -> str:
    """What `python -m module` prints, in an arena of its own."""
    with arena(endpoints) as settings:
        answer = subprocess.run(
            [sys.executable, "-m", module, *arguments],
            env=environment(settings),
            capture_output=True,
            text=True,
            check=False,
            timeout=patience_s,
        )
    assert answer.returncode == 0, answer.stderr[-3000:]
    return answer.stdout
