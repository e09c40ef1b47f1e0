"""Commands a second from queue to queue: ours beside what people would write else, all durable, in one run.

Quorum queues, persistent messages, publisher confirms, fsync: on for everybody. Each contestant gets processes, a
virtual host and a database of its own; they take turns, and medians count.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import httpx
import psycopg
import pytest
from psycopg import sql
from rich.console import Console
from rich.table import Table

from datapunk.stack.running import Endpoints, running_stack
from tests.bench.contest import read

ROUNDS = 3
# Who, and how many commands: each runs for some seconds.
CONTESTANTS = {
    "datapunk": ("tests.bench.engine", 40_000),
    "FastStream, the natural handler": ("tests.bench.faststream_handler", 6_000),
    "eventsourcing, without a broker": ("tests.bench.eventsourcing_library", 4_000),
}


@pytest.fixture(scope="module")
def durable_stack() -> Iterator[Endpoints]:
    """Servers that do fsync."""
    with tempfile.TemporaryDirectory(prefix="datapunk-bench-") as folder:
        Path(folder).chmod(0o755)  # Postgres' own account enters it
        with running_stack(Path(folder), only=("postgres", "rabbitmq"), throwaway=False) as endpoints:
            yield endpoints


def run(endpoints: Endpoints, module: str, commands: int) -> float:
    """Commands a second of one contestant, on a virtual host and a database of its own."""
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
                [sys.executable, "-m", module, str(commands)],
                env=environment,
                capture_output=True,
                text=True,
                check=False,
                timeout=300,
            )
            assert answer.returncode == 0, answer.stderr[-3000:]
            conn.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))
        management.delete(f"/api/vhosts/{name}")
    return read(answer.stdout)


@pytest.mark.bench
@pytest.mark.servers
@pytest.mark.timeout(900)
def test_commands_a_second_end_to_end(durable_stack: Endpoints) -> None:
    figures: dict[str, list[float]] = {name: [] for name in CONTESTANTS}
    for _ in range(ROUNDS):
        for name, (module, commands) in CONTESTANTS.items():
            figures[name].append(run(durable_stack, module, commands))
    medians = {name: statistics.median(values) for name, values in figures.items()}
    table = Table("who", "commands/s", "of rounds", "datapunk is", title="Queue to queue, durable, one process")
    for name, median in medians.items():
        rounds = ", ".join(f"{value:,.0f}" for value in figures[name])
        table.add_row(name, f"{median:,.0f}", rounds, f"{medians['datapunk'] / median:.1f} ×")
    Console(width=110).print(table)
