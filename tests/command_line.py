"""The `datapunk` command for tests: in a process of its own, with the servers and modules that a test says."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from datapunk.settings import Settings
from tests.working import DEADLINE_S, eventually

ROOT = Path(__file__).parent.parent


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The only line of its output."""
        (line,) = self.out.splitlines()
        return json.loads(line)


@dataclass
class Running:
    """A command that goes on; what it logs, and how to stop it."""

    process: asyncio.subprocess.Process
    lines: list[str] = field(default_factory=list)

    @property
    def logged(self) -> list[dict[str, Any]]:
        """Its log so far."""
        return [json.loads(line) for line in self.lines]

    async def until(self, message: str, times: int = 1, **fields: Any) -> list[dict[str, Any]]:
        """Wait until it has logged a message so often; returns those lines."""

        async def look() -> list[dict[str, Any]] | None:
            found = [line for line in self.logged if line["message"] == message and line | fields == line]
            return found if len(found) >= times else None

        return await eventually(look, f"{message} {fields} among {[line['message'] for line in self.logged]}")

    async def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal and wait for the end; returns the exit status."""
        self.process.send_signal(number)
        return await asyncio.wait_for(self.process.wait(), DEADLINE_S)


class CommandLine:
    """Made by the fixture `datapunk`.

    Args:
        settings: become environment variables.
        folder: where commands run; nothing of the checkout's own `.datapunk` is seen there.
    """

    def __init__(self, settings: Settings, folder: Path) -> None:
        self.folder = folder
        packages = folder / "packages"
        info = packages / "accounts_for_tests-1.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: accounts-for-tests\nVersion: 1\n")
        (info / "entry_points.txt").write_text("[datapunk.modules]\naccounts = tests.accounts.module:accounts\n")
        values = settings.model_dump(exclude_none=True) | {"directory": folder / ".datapunk"}
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("DATAPUNK_")},
            **{f"DATAPUNK_{name.upper()}": str(value) for name, value in values.items()},
            "PYTHONPATH": f"{packages}:{ROOT}",
            "COLUMNS": "120",
            "NO_COLOR": "1",
        }

    async def __call__(self, *arguments: str, input: bytes = b"", **environment: str) -> Ended:
        """Run a command to its end."""
        process = await self._start(arguments, environment, asyncio.subprocess.PIPE)
        async with asyncio.timeout(2 * DEADLINE_S):
            out, err = await process.communicate(input)
        return Ended(process.returncode or 0, out.decode(), err.decode())

    @asynccontextmanager
    async def running(self, *arguments: str, **environment: str) -> AsyncIterator[Running]:
        """Run a command for as long as the block; it's killed at the end if it's still there."""
        process = await self._start(arguments, environment, asyncio.subprocess.DEVNULL)
        running = Running(process)
        reading = asyncio.create_task(_read(process, running.lines))
        try:
            yield running
        finally:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
            reading.cancel()

    async def _start(
        self, arguments: tuple[str, ...], environment: Mapping[str, str], input: int
    ) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "datapunk.cli.main",
            *arguments,
            env={**self.environment, **environment},
            cwd=self.folder,
            stdin=input,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            limit=1024 * 1024,
        )


async def _read(process: asyncio.subprocess.Process, lines: list[str]) -> None:
    assert process.stderr is not None  # a pipe
    async for line in process.stderr:
        lines.append(line.decode())
