"""`datapunk run`: modules in this process, or in several."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, cast

import typer
import uvloop

from datapunk import background
from datapunk.cli import completion
from datapunk.errors import ConfigurationError, DatapunkError
from datapunk.hook import Hook, nowhere, once_at
from datapunk.module import find_modules
from datapunk.settings import Settings, load_settings

if TYPE_CHECKING:
    from datapunk.worker import Worker

CRASH_VARIABLE = "DATAPUNK_CRASH_AT"  # for tests: <point>[:<nth time>], see `once_at`
PROBE_PORT_VARIABLE = "DATAPUNK_PROBE_PORT"


class Extra(StrEnum):
    """What `--with` adds."""

    WORKFLOWS = "workflows"
    TASKS = "tasks"


def run(
    modules: Annotated[
        list[str] | None,
        typer.Argument(help="Modules to run; all installed ones if none is named.", autocompletion=completion.modules),
    ] = None,
    workers: Annotated[int, typer.Option(min=1, max=64, help="Processes; shards and projections are shared out.")] = 1,
    http: Annotated[bool, typer.Option("--http/--no-http", help="Serve the HTTP facade, too.")] = False,
    detach: Annotated[
        bool, typer.Option("--detach", "-d", help="In the background; `datapunk down` stops it.")
    ] = False,
    with_: Annotated[
        list[Extra] | None,
        typer.Option(
            "--with",
            help="What else to run of the modules: their workflows (needs Temporal); their tasks, in a process of "
            "their own. Repeatable.",
        ),
    ] = None,
    is_supervised: Annotated[bool, typer.Option("--supervised", hidden=True)] = False,
) -> None:
    """Run modules: handle their commands, keep their projections, answer their queries. Ctrl-C stops cleanly.

    With --http, /health and /metrics are there, too, on DATAPUNK_HTTP_PORT. Without it they are on
    DATAPUNK_PROBE_PORT if that is set. Of several workers the first has the facade, and worker 0, 1, 2 … its
    probes on DATAPUNK_PROBE_PORT plus 0, 1, 2 …; the process of tasks has the port after theirs.
    """
    settings = load_settings()
    names = modules or sorted(find_modules())
    if not names:
        raise ConfigurationError("no module is installed; docs/how-to/write-a-module.md shows how to write one")
    find_modules(names)
    if detach:
        arguments = [*names, "--workers", str(workers), *(["--http"] if http else []), *_extras(with_)]
        pid, log = background.start(settings.directory, arguments)
        typer.echo(f"{', '.join(names)}: running as process {pid}, logging to {log}; stop with: datapunk down")
        return
    if workers > 1 or Extra.TASKS in (with_ or []):
        raise typer.Exit(uvloop.run(_supervise(names, settings, workers, http, with_)))
    uvloop.run(_run(names, settings, http, is_supervised, with_ or []))


def _extras(chosen: list[Extra] | None) -> list[str]:
    return [argument for extra in chosen or () for argument in ("--with", extra.value)]


async def _run(names: list[str], settings: Settings, http: bool, is_supervised: bool, extras: list[Extra]) -> None:
    from datapunk.cli.workers import stop_when_left
    from datapunk.garbage import collect_rarely
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
    if is_supervised:
        loop.add_reader(sys.stdin.fileno(), stop_when_left, stop)
    modules = list(find_modules(names).values())
    worker = Worker(modules, settings, crash_at(), with_workflows=Extra.WORKFLOWS in extras)
    collect_rarely()
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(worker.run(stop))
            if http:
                from datapunk.http.server import serve

                group.create_task(serve(settings, modules, stop, prepared=worker.prepared))
            elif settings.probe_port is not None:
                group.create_task(_serve_probes(service, settings, settings.probe_port, worker, stop))
    except BaseExceptionGroup as failed:
        cause = _cause(failed)
        is_ours = isinstance(cause, DatapunkError)  # then its message says it all, and what to do
        log = logs.get_logger(__name__)
        log.error(
            "can't go on",
            code=cause.code if is_ours else type(cause).__name__,
            detail=str(cause),
            exc_info=None if is_ours else cause,
        )
        raise typer.Exit(1) from failed
    finally:
        await asyncio.to_thread(traces.shutdown)


async def _serve_probes(service: str, settings: Settings, port: int, worker: Worker, stop: asyncio.Event) -> None:
    from datapunk.health import BrokerCheck, DatabaseCheck, Health
    from datapunk.http.server import serve_probes

    health = Health(service, {"postgres": DatabaseCheck(settings), "broker": BrokerCheck(settings)})
    async with health.checking(), asyncio.TaskGroup() as group:
        starting = group.create_task(_tell_started(health.started, worker.prepared))
        await serve_probes(health, settings.http_host, port, stop)
        starting.cancel()


async def _tell_started(started: Callable[[], None], prepared: asyncio.Event) -> None:
    await prepared.wait()
    started()


def _cause(failed: BaseException) -> BaseException:
    """What to tell of the things that failed at once: an error of ours says what to do, so it goes first."""
    while isinstance(failed, BaseExceptionGroup):
        parts: tuple[BaseException, ...] = cast("BaseExceptionGroup[BaseException]", failed).exceptions
        failed = next((part for part in map(_cause, parts) if isinstance(part, DatapunkError)), parts[0])
    return failed


def _stop_or_leave(stop: asyncio.Event) -> None:
    """The first signal asks for a clean stop, the second one doesn't ask."""
    from datapunk.telemetry import logs

    if stop.is_set():
        os._exit(130)
    logs.get_logger(__name__).info("stopping")
    stop.set()


async def _supervise(names: list[str], settings: Settings, workers: int, http: bool, extras: list[Extra] | None) -> int:
    from datapunk.cli.workers import Workers
    from datapunk.telemetry import logs

    logs.configure(settings, "supervisor")
    of_each = [extra for extra in extras or () if extra is not Extra.TASKS]
    command = ["-m", "datapunk.cli.main", "run", *names, *_extras(of_each), "--supervised"]
    commands = [[*command, "--http"] if http and index == 0 else command for index in range(workers)]
    if Extra.TASKS in (extras or []):
        commands.append(["-m", "datapunk.cli.tasks", *names])
    probe_port = settings.probe_port
    environments = [
        {} if probe_port is None else {PROBE_PORT_VARIABLE: str(probe_port + index)} for index in range(len(commands))
    ]
    return await Workers(commands, environments).run()


def crash_at() -> Hook:
    """Die without a word at a point of the engine, if the environment says so: how tests prove recovery."""
    wanted = os.environ.get(CRASH_VARIABLE)
    return once_at(wanted, lambda: os.kill(os.getpid(), signal.SIGKILL)) if wanted else nowhere
