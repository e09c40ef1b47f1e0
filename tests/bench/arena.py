"""A virtual host and a database of its own for each program that is measured."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from urllib.parse import urlsplit
from uuid import uuid4

import httpx
import psycopg
from psycopg import sql

from datapunk.stack.running import Endpoints

PATIENCE_S = 300  # for a program, unless told otherwise


@contextmanager
def arena(endpoints: Endpoints) -> Generator[dict[str, str]]:
    """A virtual host and a database, gone afterwards; the environment of a program that is to use them."""
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
            yield {
                **os.environ,
                "DATAPUNK_BROKER_URL": broker._replace(path=f"/{name}").geturl(),
                "DATAPUNK_DATABASE_URL": database._replace(path=f"/{name}").geturl(),
                "DATAPUNK_LOG_LEVEL": "warning",
            }
        finally:
            conn.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))
            management.delete(f"/api/vhosts/{name}")


def run(endpoints: Endpoints, module: str, *arguments: str, patience_s: float = PATIENCE_S) -> str:
    """What `python -m module` prints, in an arena of its own."""
    with arena(endpoints) as environment:
        answer = subprocess.run(
            [sys.executable, "-m", module, *arguments],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=patience_s,
        )
    assert answer.returncode == 0, answer.stderr[-3000:]
    return answer.stdout
