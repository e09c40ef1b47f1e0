"""A process that performs modules' tasks: `datapunk run … --with tasks` starts it beside its workers.

    python -m datapunk.cli.tasks nexus

It ends when its standard input does, so it doesn't outlive whoever started it.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Sequence

import uvloop

from datapunk.cli.workers import stop_when_left
from datapunk.health import BrokerCheck, DatabaseCheck, Health
from datapunk.http.server import serve_probes
from datapunk.messages.registry import Registry
from datapunk.module import Module, find_modules, with_installed
from datapunk.settings import Settings, load_settings
from datapunk.tasks.performer import Performer
from datapunk.tasks.performing import find_tasks
from datapunk.telemetry import logs, metrics, traces
from datapunk.worker import prepare_patiently

log = logs.get_logger(__name__)


async def perform(modules: Sequence[Module], settings: Settings, stop: asyncio.Event) -> None:
    """Perform the tasks of modules until told to stop.

    What they read may come from any module, so all installed ones are known besides.
    """
    if await prepare_patiently(modules, settings, stop) is None:
        return
    known = with_installed(modules)
    registry = Registry.of(known)
    found = [tasks(settings, registry, known) for tasks in map(find_tasks, modules) if tasks is not None]
    if not found:
        log.warning("no_tasks", modules=[module.name for module in modules])
        await stop.wait()
        return
    await Performer(found, settings, registry).run(stop)


async def _run(names: Sequence[str]) -> None:
    settings = load_settings()
    service = "-".join([*names, "tasks"])
    logs.configure(settings, service)
    metrics.configure(service)
    traces.configure(settings, service)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    loop.add_reader(sys.stdin.fileno(), stop_when_left, stop)
    modules = list(find_modules(names).values())
    try:
        async with asyncio.TaskGroup() as group:
            performing = group.create_task(perform(modules, settings, stop))
            if settings.probe_port is not None:
                group.create_task(_serve(service, settings, settings.probe_port, performing, stop))
    finally:
        await asyncio.to_thread(traces.shutdown)


async def _serve(
    service: str, settings: Settings, port: int, performing: asyncio.Task[None], stop: asyncio.Event
) -> None:
    health = Health(service, {"postgres": DatabaseCheck(settings), "broker": BrokerCheck(settings)})
    health.watch("tasks", performing)
    async with health.checking():
        health.started()
        await serve_probes(health, settings.http_host, port, stop)


if __name__ == "__main__":
    uvloop.run(_run(sys.argv[1:]))
