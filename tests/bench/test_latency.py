"""How long a sender waits for its outcome when the platform isn't busy: 100 commands a second."""

from __future__ import annotations

import json

import pytest
from rich.console import Console
from rich.table import Table

from datapunk.stack.running import Endpoints
from tests.bench.arena import run
from tests.bench.latency import RATE

COMMANDS = 2000


@pytest.mark.bench
@pytest.mark.servers
@pytest.mark.timeout(300)
def test_from_publish_to_reply(durable_stack: Endpoints) -> None:
    took_ms = json.loads(run(durable_stack, "tests.bench.latency", str(COMMANDS)).splitlines()[-1])
    assert len(took_ms) == COMMANDS
    table = Table("p50", "p90", "p99", "longest", title=f"From publish to reply at {RATE} commands/s, milliseconds")
    table.add_row(*(f"{took_ms[int(share * (COMMANDS - 1))]:.1f}" for share in (0.5, 0.9, 0.99, 1)))
    Console(width=110).print(table)
