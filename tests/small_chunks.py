"""`tests.worker_main`, whose workers read files in small chunks, so that little has many parts."""

from __future__ import annotations

import asyncio
import sys

from tests.worker_main import main
from workflows.lake.files import delimited, ingesting

delimited.CHUNK_BYTES = 16 * 1024
ingesting.CHUNKS = 2

if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
