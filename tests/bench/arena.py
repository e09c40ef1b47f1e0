"""A virtual host and a database of its own for each program that is measured."""

from __future__ import annotations

import os
import subprocess
import sys
from urllib.parse import urlsplit
from uuid import uuid4

import httpx
import psycopg
from psycopg import sql

from datapunk.stack.running import Endpoints


def run(endpoints: Endpoints, module: str, *arguments: str) -> str:
    """What `python -m module` prints, given a virtual host and a database of its own."""
    name = f"bench_{uuid4().hex[:8]}"
    database = urlsplit(endpoints.database_url)
    admin = database._replace(path="/postgres").geturl()
    with httpx.Client(base_url=endpoints.broker_management_url, timeout=30) as management:
        management.put(f"/api/vhosts/{name}").raise_for_status()
        everything = {"configure": ".*", "write": ".*", "read": ".*"}
        user = urlsplit(endpoints.broker_url).username
        management.put(f"/api/permissions/{name}/{user}", json=everything).raise_for_status()
        with psycopg.connect(admin, autocommit=True) as conn:
            conn.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
            environment = {
                **os.environ,
                "DATAPUNK_BROKER_URL": urlsplit(endpoints.broker_url)._replace(path=f"/{name}").geturl(),
                "DATAPUNK_DATABASE_URL": database._replace(path=f"/{name}").geturl(),
                "DATAPUNK_LOG_LEVEL": "warning",
            }
            answer = subprocess.run(
                [sys.executable, "-m", module, *arguments],
                env=environment,
                capture_output=True,
                text=True,
                check=False,
                timeout=300,
            )
            assert answer.returncode == 0, answer.stderr[-3000:]
            conn.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))
        management.delete(f"/api/vhosts/{name}")
    return answer.stdout
