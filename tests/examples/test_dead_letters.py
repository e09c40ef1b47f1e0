"""examples/dead_letters, which `make demo` runs: a cut-off message is found, mended and applied."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from actors.lake.module import lake
from actors.nexus.module import nexus
from datapunk.settings import Settings
from tests.working import environment, working

ROOT = Path(__file__).parents[2]
TIME_LIMIT_S = 150.0


async def test_a_cut_off_message_is_mended_and_applied(settings_with_temporal: Settings) -> None:
    async with working([lake, nexus], settings_with_temporal, with_workflows=True):
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "examples.dead_letters.demo"),
            cwd=ROOT,
            env={**environment(settings_with_temporal), "COLUMNS": "120", "NO_COLOR": "1"},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        async with asyncio.timeout(TIME_LIMIT_S):
            output, _ = await process.communicate()
    text = output.decode()
    assert process.returncode == 0, text
    assert '{"records":[{"text":"The weather at JFK is fine"}],"count":1' in text
