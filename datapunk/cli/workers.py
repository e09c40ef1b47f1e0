"""Several workers of one `datapunk run`: each a process of its own, started again when it dies."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress

from datapunk.resting import rest
from datapunk.telemetry import logs

RESTART_FIRST_S, RESTART_MOST_S = 1.0, 30.0  # pauses before a worker that died is started again
HEALTHY_S = 60.0  # a worker that lived so long and died is started again after the first pause

log = logs.get_logger(__name__)


def stop_when_left(stop: asyncio.Event) -> None:
    """For the reader of a worker's standard input: `Workers` has ended without a word, and isn't to be outlived."""
    if not os.read(sys.stdin.fileno(), 1):
        asyncio.get_running_loop().remove_reader(sys.stdin.fileno())
        stop.set()


class Workers:
    """Runs worker processes until told to stop.

    Each has one end of a pipe as its standard input, and the other end is ours: should we be killed, they see it
    closed, and stop by themselves.

    Args:
        commands: the command line of each, without the interpreter.
        environments: what each has in its environment besides ours.
    """

    def __init__(self, commands: Sequence[Sequence[str]], environments: Sequence[Mapping[str, str]]) -> None:
        self._commands = commands
        self._environments = environments
        self._running: dict[int, asyncio.subprocess.Process] = {}
        self._stop = asyncio.Event()

    async def run(self) -> int:
        """Run them; returns the exit status: 0 after a clean stop, 130 after one that didn't wait."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._stop_or_kill)
        codes = await asyncio.gather(*(self._keep_running(index) for index in range(len(self._commands))))
        return 130 if -signal.SIGKILL in codes else 0

    async def _keep_running(self, index: int) -> int:
        loop = asyncio.get_running_loop()
        pause = RESTART_FIRST_S
        while True:
            began = loop.time()
            code = await self._run_once(index)
            if self._stop.is_set():
                return code
            if loop.time() - began > HEALTHY_S:
                pause = RESTART_FIRST_S
            log.error("worker ended", worker=index, exit_status=code, restart_in_s=pause)
            await rest(pause, self._stop)
            if self._stop.is_set():
                return 0
            pause = min(pause * 2, RESTART_MOST_S)

    async def _run_once(self, index: int) -> int:
        # A session of its own: Ctrl-C reaches only us, and we pass it on once.
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *self._commands[index],
            stdin=asyncio.subprocess.PIPE,
            env={**os.environ, **self._environments[index]},
            start_new_session=True,
        )
        self._running[index] = process
        log.info("worker started", worker=index, pid=process.pid)
        if self._stop.is_set():  # while it was being started
            process.terminate()
        code = await process.wait()
        del self._running[index]
        return code

    def _stop_or_kill(self) -> None:
        """The first signal asks for a clean stop, the second one doesn't ask."""
        for process in self._running.values():
            with suppress(ProcessLookupError):
                process.kill() if self._stop.is_set() else process.terminate()
        self._stop.set()
