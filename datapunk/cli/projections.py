"""`datapunk projections`: where they are, and rebuilding, comparing, pausing and resuming them."""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any

import msgspec
import typer
from psycopg.rows import dict_row
from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from datapunk.cli.messaging import Json, print_json
from datapunk.comparison import Comparison, compare
from datapunk.errors import ConfigurationError
from datapunk.generation import Generation
from datapunk.messages.registry import Registry
from datapunk.module import find_modules
from datapunk.projection import Projection
from datapunk.rebuild import OnProgress
from datapunk.rebuild import rebuild as rebuild_projection
from datapunk.settings import Settings, load_settings
from datapunk.store.connection import connect
from datapunk.store.read import safe_position
from datapunk.store.statements import statement

app = typer.Typer(no_args_is_help=True)

STYLES = {"live": "green", "idle": "yellow", "paused": "yellow", "rebuilding": "cyan", "failing": "red"}


def _complete(incomplete: str) -> list[str]:
    return [name for name in _installed() if name.startswith(incomplete)]


Name = Annotated[str, typer.Argument(help="As in lake.datasets.", autocompletion=_complete)]


@app.command("list")
def list_projections(as_json: Json = False) -> None:
    """Show each projection: how far it is, how far behind, and what it last failed on."""
    settings = load_settings()
    rows, head = asyncio.run(_list(settings))
    states = [_state(row, settings.member_timeout_s) for row in rows]
    if as_json:
        print_json(
            [{**row, "state": state, "behind": _behind(row, head)} for row, state in zip(rows, states, strict=True)]
        )
        return
    table = Table("projection", "state", "generation", "version", "position", "behind", "error", box=None)
    for row, state in zip(rows, states, strict=True):
        table.add_row(
            row["name"],
            f"[{STYLES[state]}]{state}[/]{_share_built(row, head)}",
            str(row["active_generation"] or "-"),
            str(row["version"] or "-"),
            f"{row['position'] or 0:,}",
            f"{_behind(row, head):,}",
            escape(row["error"] or ""),
        )
    Console().print(table if rows else "No projection was ever run; start one with: datapunk run MODULE")


@app.command()
def rebuild(name: Name, as_json: Json = False) -> None:
    """Build a projection's tables anew from history, beside the old ones, and switch when they're ready."""
    projection = _find(name)
    settings = load_settings()
    console = Console(stderr=as_json)
    began = datetime.now().astimezone()
    with _progress(name, console) as show:
        generation = asyncio.run(_rebuild(projection, settings, show))
    seconds = (datetime.now().astimezone() - began).total_seconds()
    if as_json:
        result = {
            "projection": name,
            "generation": generation.number,
            "position": generation.position,
            "seconds": seconds,
        }
        print_json(result)
    else:
        console.print(f"{name}: generation {generation.number} serves reads now ({seconds:.1f} s)")


@app.command()
def diff(
    name: Name,
    rows: Annotated[int, typer.Option(min=0, help="Most differing rows to show of each table and side.")] = 5,
    as_json: Json = False,
) -> None:
    """Compare a projection's tables with a replay of history, built beside them and thrown away.

    Readers notice nothing; the projector waits for a moment. Exits with 1 if anything differs.
    """
    projection = _find(name)
    with _progress(name, Console(stderr=True)) as show:
        comparison = asyncio.run(_compare(projection, load_settings(), rows, show))
    if as_json:
        tables = [{**asdict(table), "is_equal": table.is_equal} for table in comparison.tables]
        print_json({**asdict(comparison), "is_equal": comparison.is_equal, "tables": tables})
    else:
        _show_comparison(comparison)
    if not comparison.is_equal:
        raise typer.Exit(1)


@app.command()
def pause(name: Name, as_json: Json = False) -> None:
    """Stop applying events to a projection; reads go on with what is there."""
    asyncio.run(_set_paused(load_settings(), name, True))
    if as_json:
        print_json({"projection": name, "is_paused": True})
    else:
        typer.echo(f"{name} is paused; go on with: datapunk projections resume {name}")


@app.command()
def resume(name: Name, as_json: Json = False) -> None:
    """Go on applying events to a paused projection."""
    asyncio.run(_set_paused(load_settings(), name, False))
    if as_json:
        print_json({"projection": name, "is_paused": False})
    else:
        typer.echo(f"{name} goes on")


def _installed() -> dict[str, type[Projection]]:
    return {p.full_name(): p for module in find_modules().values() for p in module.projections}


def _find(name: str) -> Projection:
    found = _installed().get(name)
    if found is None:
        raise ConfigurationError(
            f"there is no projection {name!r}; there are {', '.join(sorted(_installed())) or 'none'}"
        )
    return found()


@contextmanager
def _progress(name: str, console: Console) -> Generator[OnProgress]:
    columns = (
        TextColumn(name),
        BarColumn(),
        TaskProgressColumn(),
        MofNCompleteColumn(),
        TextColumn("positions"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as progress:
        task = progress.add_task(name, total=None)

        def show(done: int, total: int) -> None:
            progress.update(task, completed=done, total=total)

        yield show


def _show_comparison(comparison: Comparison) -> None:
    console = Console(highlight=False)
    if comparison.served_version != comparison.replayed_version:
        console.print(
            f"What serves was built by version {comparison.served_version} of the projection, the replay by version "
            f"{comparison.replayed_version}."
        )
    table = Table("table", "rows", "replayed", "", box=None)
    for each in comparison.tables:
        counts = [f"{contents.rows:,}" if contents else "-" for contents in (each.served, each.replayed)]
        table.add_row(escape(each.table), *counts, "[green]equal[/]" if each.is_equal else "[red]differs[/]")
    console.print(table)
    for each in comparison.tables:
        columns = [contents.columns if contents else [] for contents in (each.served, each.replayed)]
        if columns[0] != columns[1]:
            lines = (set(columns[0]) - set(columns[1]), set(columns[1]) - set(columns[0]))
        else:
            lines = tuple(
                [msgspec.json.encode(row).decode() for row in rows] for rows in (each.only_served, each.only_replayed)
            )
        for mark, style, side in (("-", "red", lines[0]), ("+", "green", lines[1])):
            for line in sorted(side):
                console.print(f"[{style}]{mark} {escape(each.table)} {escape(line)}[/]", soft_wrap=True)
    verdict = "equal" if comparison.is_equal else "not equal (- serves, + replayed)"
    console.print(f"{comparison.projection} at position {comparison.position:,} and a replay are {verdict}")


async def _rebuild(projection: Projection, settings: Settings, on_progress: OnProgress) -> Generation:
    return await rebuild_projection(projection, await _registry(settings), settings, on_progress)


async def _compare(projection: Projection, settings: Settings, rows: int, on_progress: OnProgress) -> Comparison:
    return await compare(projection, await _registry(settings), settings, rows=rows, on_progress=on_progress)


async def _registry(settings: Settings) -> Registry:
    registry = Registry.of(find_modules().values())
    async with await connect(settings.database_url) as conn:
        await registry.sync(conn)  # old events were written with schemas that only the database knows
    return registry


async def _list(settings: Settings) -> tuple[list[dict[str, Any]], int]:
    async with await connect(settings.database_url) as conn:
        head = await safe_position(conn)
        async with conn.cursor(row_factory=dict_row) as cursor:
            await cursor.execute(statement("query_projections"))
            return await cursor.fetchall(), head


async def _set_paused(settings: Settings, name: str, is_paused: bool) -> None:
    async with await connect(settings.database_url) as conn:
        cursor = await conn.execute(statement("set_projection_paused"), {"projection": name, "is_paused": is_paused})
        if cursor.rowcount == 0:
            raise ConfigurationError(f"no projection {name!r} was ever run; see: datapunk projections list")


def _state(row: dict[str, Any], timeout_s: float) -> str:
    """In one word; `idle` means that no process keeps it up to date."""
    if row["building_position"] is not None:
        return "rebuilding"
    if row["error"] or row["is_paused"]:
        return "failing" if row["error"] else "paused"
    silent_s = row["owner_silent_s"]
    return "idle" if silent_s is None or silent_s > timeout_s else "live"


def _share_built(row: dict[str, Any], head: int) -> str:
    if row["building_position"] is None or not head:
        return ""
    return f" {row['building_position'] / head:.0%}"


def _behind(row: dict[str, Any], head: int) -> int:
    return max(0, head - (row["position"] or 0))
