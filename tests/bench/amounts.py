"""How much is measured: enough for a look by default, more by environment variables."""

from __future__ import annotations

import os

ROUNDS = int(os.environ.get("BENCH_ROUNDS", "3"))  # of which medians count
COMMANDS = int(os.environ.get("BENCH_COMMANDS", "100_000"))  # while memory is watched
EVENTS = int(os.environ.get("BENCH_EVENTS", "2_000_000"))  # in the store while appends are timed
ROWS = int(os.environ.get("BENCH_ROWS", "336_776"))  # of the flights that are loaded
