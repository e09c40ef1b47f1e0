"""RabbitMQ PerfTest, the broker's own load generator: what RabbitMQ bears when nothing decides and nothing is stored.

A contestant of `test_end_to_end.py`: one queue, as durable as everybody's. A message is published and confirmed,
consumed and acknowledged, which is what a command and its event cost the broker together. Windows are wide and many
messages are acknowledged at once, so that nobody waits for the network.
"""

from __future__ import annotations

import re
import subprocess
import tempfile
from pathlib import Path

from datapunk.settings import load_settings
from tests.bench.contest import BODY, show_rates, wanted
from tests.building import ROOT, built, java

UNCONFIRMED, UNACKNOWLEDGED, ACKNOWLEDGED_AT_ONCE = 2000, 2000, 200
RATE = re.compile(r"(sending|receiving) rate avg: (\d+) msg/s")


def measure(seconds: int) -> dict[str, float]:
    """Messages a second published and consumed, as PerfTest sums it up."""
    program = built(ROOT / "tests/bench/perf_test", java("target/perf-test.jar"))
    with tempfile.TemporaryDirectory() as folder:
        body = Path(folder) / "body.json"
        body.write_bytes(BODY)
        arguments = {
            "uri": load_settings().broker_url,
            "queue": "bench.perf_test",
            "flag": "persistent",
            "confirm": UNCONFIRMED,
            "qos": UNACKNOWLEDGED,
            "multi-ack-every": ACKNOWLEDGED_AT_ONCE,
            "body": body,
            "time": seconds,
        }
        line = [*program, "--quorum-queue", *(f"--{name}={value}" for name, value in arguments.items())]
        answer = subprocess.run(line, capture_output=True, text=True, check=True)
    rates = {direction: float(rate) for direction, rate in RATE.findall(answer.stdout)}
    return {"published": rates["sending"], "consumed": rates["receiving"]}


if __name__ == "__main__":
    show_rates(**measure(wanted()))
