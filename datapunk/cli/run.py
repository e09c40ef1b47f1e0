"""`datapunk run`: modules in this process, or in several."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from typing import Annotated

import typer
import uvloop

from datapunk import background
from datapunk.errors import ConfigurationError
from datapunk.module import find_modules
from datapunk.settings import Settings, load_settings

RESTART_FIRST_S, RESTART_MOST_S = 1.0, 30.0  # pauses before a worker that died is started again
CRASH_VARIABLE = "DATAPUNK_CRASH_AT"  # for tests: <point>[:<nth time>], see `crash_at`


def run(
    modules: Annotated[
        list[str] | None, typer.Argument(help="Modules to run; all installed ones if none is named.")
    ] = None,
    workers: Annotated[int, typer.Option(min=1, max=64, help="Processes; shards and projections are shared out.")] = 1,
    http: Annotated[bool, typer.Option("--http/--no-http", help="Serve the HTTP facade, too.")] = False,
    detach: Annotated[
        bool, typer.Option("--detach", "-d", help="In the background; `datapunk down` stops it.")
    ] = False,
) -> None:
    """Run modules: handle their commands, keep their projections, answer their queries. Ctrl-C stops cleanly."""
    settings = load_settings()
    names = modules or sorted(find_modules())
    if not names:
        raise ConfigurationError("no module is installed; `datapunk module new NAME` makes one")
    find_modules(names)
    if detach:
        arguments = [*names, "--workers", str(workers), *(["--http"] if http else [])]
        pid, log = background.start(settings.directory, arguments)
        typer.echo(f"{', '.join(names)}: running as process {pid}, logging to {log}; stop with: datapunk down")
        return
    if workers > 1:
        raise typer.Exit(_supervise(names, workers, http))
    uvloop.run(_run(names, settings, http))


async def _run(names: list[str], settings: Settings, http: bool) -> None:
    from datapunk.telemetry import logs, metrics, traces
    from datapunk.worker import Worker

    service = "-".join(names)
    logs.configure(settings, service)
    metrics.configure(service)
    traces.configure(settings, service)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, _stop_or_leave, stop)
    modules = list(find_modules(names).values())
    async with asyncio.TaskGroup() as group:
        group.create_task(Worker(modules, settings, crash_at()).run(stop))
        if http:
            from datapunk.http.server import serve

            group.create_task(serve(settings, modules, stop))


def _stop_or_leave(stop: asyncio.Event) -> None:
    """The first signal asks for a clean stop, the second one doesn't ask."""
    if stop.is_set():
        os._exit(130)
    stop.set()


def _supervise(names: list[str], workers: int, http: bool) -> int:
    """Run worker processes and start those again that die, until told to stop."""
    command = [sys.executable, "-m", "datapunk.cli.main", "run", *names]
    running: dict[int, subprocess.Popen[bytes]] = {}
    is_stopping = False

    def stop(number: int, frame: object) -> None:
        nonlocal is_stopping
        is_stopping = True
        for process in running.values():
            process.send_signal(signal.SIGTERM)

    signal.signal(signal.SIGINT, stop)
    signal.signal(signal.SIGTERM, stop)
    pause = RESTART_FIRST_S

    def start(index: int) -> None:
        # A session of its own: Ctrl-C reaches the supervisor only, which passes it on once.
        extra = ["--http"] if http and index == 0 else []
        running[index] = subprocess.Popen([*command, *extra], start_new_session=True)  # noqa: S603  # ourselves

    for index in range(workers):
        start(index)
    while running:
        for index, process in list(running.items()):
            try:
                process.wait(timeout=0.2)
            except subprocess.TimeoutExpired:
                continue
            del running[index]
            if not is_stopping:
                typer.echo(
                    f"worker {index} ended with {process.returncode}; starting it again in {pause:g} s",
                    err=True,
                )
                signal.sigtimedwait([], pause)
                pause = min(pause * 2, RESTART_MOST_S)
                if not is_stopping:
                    start(index)
    return 0


def crash_at() -> Callable[[str], None]:
    """Die without a word at a point of the engine, if the environment says so: how tests prove recovery."""
    from datapunk.shard import nowhere

    wanted = os.environ.get(CRASH_VARIABLE)
    if not wanted:
        return nowhere
    point, _, nth = wanted.partition(":")
    left = int(nth or 1)

    def crash(here: str) -> None:
        nonlocal left
        if here == point:
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    return crash
