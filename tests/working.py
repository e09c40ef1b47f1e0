"""Workers for tests: in this process, or in one that can be killed."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import TypeVar

from datapunk.settings import Settings
from datapunk.testing.platform import working

__all__ = ["DEADLINE_S", "environment", "eventually", "worker_process", "working"]

T = TypeVar("T")
DEADLINE_S = 60.0  # for what fails: what is right takes as long as a busy machine needs


async def eventually(look: Callable[[], Awaitable[T | None]], what: str, deadline_s: float = DEADLINE_S) -> T:
    """Wait until `look` finds something true."""
    until = time.monotonic() + deadline_s
    while True:
        found = await look()
        if found:
            return found
        assert time.monotonic() < until, f"{what}: not within {deadline_s:g} s"
        await asyncio.sleep(0.02)


def environment(settings: Settings) -> dict[str, str]:
    """The variables of a program that is to have these settings."""
    given = settings.model_dump(exclude_none=True)
    return {**os.environ, **{f"DATAPUNK_{name.upper()}": str(value) for name, value in given.items()}}


@asynccontextmanager
async def worker_process(
    settings: Settings,
    *,
    crash_at: str | None = None,
    main: str = "tests.worker_main",
    arguments: Sequence[str] = (),
    more: Mapping[str, str] | None = None,
) -> AsyncIterator[asyncio.subprocess.Process]:
    """A process that runs accounts, or what else `main` runs; killed at the end if it's still there.

    Args:
        settings: its own.
        crash_at: where in the engine it kills itself, as in `after_commit:2`.
        main: its program.
        arguments: of its program.
        more: variables of its environment.
    """
    variables = {**environment(settings), **(more or {})}
    variables.pop("DATAPUNK_CRASH_AT", None)
    if crash_at is not None:
        variables["DATAPUNK_CRASH_AT"] = crash_at
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", main, *arguments, env=variables, stdout=asyncio.subprocess.DEVNULL
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
