"""A worker in a process of its own: `python -m tests.bench.worker trips`, with servers in the settings."""

from __future__ import annotations

import asyncio
import sys

import uvloop

from datapunk.garbage import collect_rarely
from datapunk.module import find_modules
from datapunk.settings import load_settings
from datapunk.worker import Worker
from tests.bench.trips.module import trips

WORKER = "tests.bench.worker"

if __name__ == "__main__":
    modules = [trips] if sys.argv[1] == trips.name else list(find_modules(sys.argv[1:]).values())
    collect_rarely()  # as `datapunk run` does
    uvloop.run(Worker(modules, load_settings()).run(asyncio.Event()))
