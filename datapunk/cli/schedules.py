"""`datapunk schedules`: which workflows run by the clock, and having them run now, or not for a while."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from temporalio.client import Client, ScheduleActionExecutionStartWorkflow, ScheduleHandle
from temporalio.service import RPCError, RPCStatusCode

from datapunk.cli.messaging import Json, print_json
from datapunk.errors import ConfigurationError, DatapunkError
from datapunk.messages.registry import Registry
from datapunk.module import Module, find_modules
from datapunk.settings import load_settings
from datapunk.temporal.attributes import MODULE
from datapunk.temporal.connection import connect
from datapunk.temporal.discovery import find_workflows
from datapunk.temporal.upkeep import RUNTIME

app = typer.Typer(no_args_is_help=True)

NONE_YET = "Workers make them: datapunk run MODULE --with workflows"


def _complete(incomplete: str) -> list[str]:
    """Those that installed modules declare."""
    modules: list[Module] = [*find_modules().values(), RUNTIME]
    names = [f"{module.name}.{id}" for module in modules for id in _declared(module)]
    return [name for name in names if name.startswith(incomplete)]


def _declared(module: Module) -> list[str]:
    try:
        return list(find_workflows(module).schedules)
    except DatapunkError:  # the worker that can't run it tells; not between two keys
        return []


Name = Annotated[str, typer.Argument(help="As in datapunk.analyze_events.", autocompletion=_complete)]


@app.command("list")
def list_schedules(as_json: Json = False) -> None:
    """Show each schedule: what it runs, when it did last and will next, and whether it's paused."""
    rows = asyncio.run(_list())
    if as_json:
        print_json(rows)
        return
    table = Table("schedule", "workflow", "state", "last", "next", box=None)
    for row in rows:
        state = "[yellow]paused[/]" if row["is_paused"] else "[green]active[/]"
        table.add_row(row["schedule"], row["workflow"], state, _shown(row["last"]), _shown(row["next"]))
    Console().print(table if rows else f"There is no schedule. {NONE_YET}")


@app.command()
def trigger(name: Name, as_json: Json = False) -> None:
    """Run a schedule's workflow now, also if it's paused; not while a run is under way."""
    asyncio.run(_with(name, ScheduleHandle.trigger))
    _tell(name, as_json, f"{name} runs now; see how it goes in Temporal's web UI: {load_settings().temporal_ui_url}")


@app.command()
def pause(
    name: Name,
    note: Annotated[str, typer.Option(help="Why, for those who wonder.")] = "paused by `datapunk schedules pause`",
    as_json: Json = False,
) -> None:
    """Don't run a schedule's workflow until it's resumed; workers that start don't change that."""
    asyncio.run(_with(name, lambda schedule: schedule.pause(note=note)))
    _tell(name, as_json, f"{name} is paused; go on with: datapunk schedules resume {name}", is_paused=True)


@app.command()
def resume(name: Name, as_json: Json = False) -> None:
    """Let a paused schedule run its workflow again."""
    asyncio.run(_with(name, ScheduleHandle.unpause))
    _tell(name, as_json, f"{name} goes on", is_paused=False)


def _tell(name: str, as_json: bool, text: str, **more: bool) -> None:
    if as_json:
        print_json({"schedule": name, **more})
    else:
        typer.echo(text)


def _shown(time: str | None) -> str:
    return datetime.fromisoformat(time).astimezone().strftime("%Y-%m-%d %H:%M:%S") if time else "-"


async def _connect() -> Client:
    return await connect(load_settings(), Registry.of(find_modules().values()))


async def _with(name: str, act: Callable[[ScheduleHandle], Awaitable[None]]) -> None:
    temporal = await _connect()
    try:
        await act(temporal.get_schedule_handle(name))
    except RPCError as error:
        if error.status is not RPCStatusCode.NOT_FOUND:
            raise
        there = ", ".join(sorted(await _names(temporal))) or f"none. {NONE_YET}"
        raise ConfigurationError(f"there is no schedule {name!r}; there are {there}") from None


async def _names(temporal: Client) -> list[str]:
    try:
        return [each.id async for each in await temporal.list_schedules(f"{MODULE.name} is not null")]
    except RPCError as error:
        if error.status is not RPCStatusCode.INVALID_ARGUMENT:
            raise
        return []  # no worker was ever here: this namespace doesn't know the attribute


async def _list() -> list[dict[str, Any]]:
    temporal = await _connect()
    return [await _row(temporal, name) for name in sorted(await _names(temporal))]


async def _row(temporal: Client, name: str) -> dict[str, Any]:
    """As it is now: Temporal's list lags behind."""
    found = await temporal.get_schedule_handle(name).describe()
    last, next = found.info.recent_actions[-1:], found.info.next_action_times[:1]
    action: Any = found.schedule.action
    run = last[0].action if last else None
    return {
        "schedule": name,
        "workflow": action.workflow,
        "is_paused": found.schedule.state.paused,
        "note": found.schedule.state.note or None,
        "last": last[0].started_at.isoformat() if last else None,
        "last_workflow": run.workflow_id if isinstance(run, ScheduleActionExecutionStartWorkflow) else None,
        "next": next[0].isoformat() if next and not found.schedule.state.paused else None,
    }
