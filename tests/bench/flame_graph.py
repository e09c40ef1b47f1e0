"""Where a worker's time goes, as a flame graph: `python -m tests.bench.flame_graph docs/performance/engine.svg`.

Starts servers of its own. py-spy looks into the worker from outside while it empties full queues; for that it needs
to be root, or `kernel.yama.ptrace_scope = 0`.
"""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.bench.arena import arena, durable_servers
from tests.bench.draining import drain

COMMANDS = 100_000
PY_SPY = Path(sys.executable).with_name("py-spy")
SAMPLES_A_SECOND = 200
ENDS_WITHIN_S = 60
TITLE = "A worker that empties full queues"


def draw(picture: Path, commands: int) -> None:
    """Profile a worker over so many commands; what waits isn't counted."""
    spies: list[subprocess.Popen[bytes]] = []

    def attach(pids: Sequence[int]) -> None:
        line = [str(PY_SPY), "record", "--pid", str(pids[0]), "--rate", str(SAMPLES_A_SECOND), "--function"]
        spies.append(subprocess.Popen([*line, "--format", "flamegraph", "--output", str(picture)]))

    with durable_servers() as endpoints, arena(endpoints) as settings:
        took_s = asyncio.run(drain(settings, commands, onlooker=attach))
        for spy in spies:
            spy.wait(ENDS_WITHIN_S)  # ends with the worker
    # The title that py-spy gives it is its own command line.
    picture.write_text(re.sub(r"[^>]*py-spy record[^<]*", TITLE, picture.read_text()))
    print(f"{commands:,} commands in {took_s:.1f} s, watched by py-spy: {picture}")


if __name__ == "__main__":
    draw(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else COMMANDS)
