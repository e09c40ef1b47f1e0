"""`datapunk up`, `status`, `down` and `logs`: the servers on this machine."""

from __future__ import annotations

import json
import sys
from typing import Annotated

import typer
from rich.console import Console

from datapunk import background
from datapunk.errors import StackError
from datapunk.settings import load_settings
from datapunk.stack.choose import choose_launcher
from datapunk.stack.launcher import Launcher
from datapunk.stack.leftovers import left_running
from datapunk.stack.plan import chosen
from datapunk.stack.record import StackRecord
from datapunk.stack.status import refreshed
from datapunk.stack.table import LiveTable, stack_table

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]

_PART_COLOURS = {"postgres": "cyan", "rabbitmq": "magenta", "redis": "red", "temporal": "green"}


def up(
    detach: Annotated[bool, typer.Option("--detach", "-d", help="Return when all is ready.")] = False,
    only: Annotated[
        list[str] | None,
        typer.Option(help="Start only this part: postgres, rabbitmq, redis or temporal. Repeatable."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Start RabbitMQ, Postgres, Redis and Temporal, and show where they are.

    In the foreground, until Ctrl-C, unless detached. Running it twice does no harm. Data are kept in the
    stack's folder (DATAPUNK_DIRECTORY, by default .datapunk).
    """
    names = chosen([name for item in only or () for name in item.split(",")])
    console = Console(file=sys.stderr if as_json else sys.stdout)
    launcher = choose_launcher(load_settings().directory)
    running = launcher.current()
    if running is not None:
        _already_up(launcher, running, names, console, as_json=as_json)
        return
    with LiveTable(console) as table:
        if detach:
            record = launcher.start(names, table.show)
            table.finish(record)
        else:

            def ready(record: StackRecord) -> None:
                table.finish(record)
                if as_json:
                    _print_json(record)
                console.print("[dim]Ctrl-C stops everything; data are kept.[/dim]")

            launcher.run(names, table.show, ready)
            console.print("All stopped.")
            return
    if as_json:
        _print_json(record)


def status(as_json: Json = False) -> None:
    """Show what runs, and where. Asks every server; exits with 1 when one doesn't answer or none runs."""
    launcher = choose_launcher(load_settings().directory)
    record = launcher.current()
    if record is None:
        if as_json:
            print(json.dumps({"running": False, "parts": []}))
        elif left := left_running(load_settings().directory):
            names = ", ".join(part.title for part in left)
            print(f"A killed `datapunk up` left servers running: {names}. Stop them with: datapunk down")
        else:
            print("Nothing runs. Start it with: datapunk up")
        raise typer.Exit(1)
    record = refreshed(record)
    if as_json:
        _print_json(record)
    else:
        Console().print(stack_table(record))
        if running := background.find(load_settings().directory):
            print(f"datapunk run: process {running.pid}")
    if not record.is_ready:
        raise typer.Exit(1)


def down(as_json: Json = False) -> None:
    """Stop what `run --detach` and `up` started, and what a killed `up` left behind. Data are kept."""
    directory = load_settings().directory
    launcher = choose_launcher(directory)
    console = Console(stderr=as_json)
    with console.status("Stopping …"):
        stopped = ["datapunk run"] if background.stop(directory) else []
        stopped += launcher.stop()
    if as_json:
        print(json.dumps({"stopped": stopped}))
    else:
        print(f"Stopped {', '.join(stopped)}." if stopped else "Nothing was running.")


def logs(
    parts: Annotated[list[str] | None, typer.Argument(help="postgres, rabbitmq, redis, temporal; all if none.")] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what comes.")] = False,
    lines: Annotated[int, typer.Option("--lines", "-n", min=0, help="How many lines of each log.")] = 50,
    as_json: Json = False,
) -> None:
    """Show what the servers log."""
    launcher = choose_launcher(load_settings().directory)
    names = chosen(parts or ())
    console = Console(highlight=False, soft_wrap=True)
    is_empty = True
    for name, line in launcher.logs(names, lines, follow=follow):
        is_empty = False
        if as_json:
            print(json.dumps({"part": name, "line": line}), flush=True)
        elif len(names) == 1:
            print(line, flush=True)
        else:
            console.print(f"{name:<9}", style=_PART_COLOURS[name], end="")
            console.print(line, markup=False)
    if is_empty and lines:
        raise StackError("nothing was logged here; start the servers with: datapunk up")


def _already_up(
    launcher: Launcher, running: StackRecord, names: tuple[str, ...], console: Console, *, as_json: bool
) -> None:
    lacking = sorted(set(names) - {part.name for part in running.parts})
    if lacking:
        raise StackError(f"the stack runs already, without {', '.join(lacking)}: `datapunk down`, then start it anew")
    with LiveTable(console) as table:
        running = launcher.wait(table.show)
        table.finish(running)
    if as_json:
        _print_json(running)
    else:
        console.print("It was running already.")


def _print_json(record: StackRecord) -> None:
    parts = [
        {
            "name": part.name,
            "title": part.title,
            "state": part.state.value,
            "version": part.version,
            "where": part.where,
            "seconds": round(part.seconds, 3),
            "restarts": part.restarts,
            "detail": part.detail,
        }
        for part in record.parts
    ]
    print(json.dumps({"running": True, "launcher": record.launcher, "parts": parts, "endpoints": record.endpoints}))
