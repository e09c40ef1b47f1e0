"""`datapunk topology`: what the modules have at the broker."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from typing import Annotated

import typer
from rich.console import Console
from rich.tree import Tree

from datapunk.broker.topology import Queue, Topology, apply, planned
from datapunk.cli.messaging import Json, print_json
from datapunk.module import find_modules
from datapunk.settings import Settings, load_settings
from datapunk.store.migrate import migrate

app = typer.Typer(no_args_is_help=True)

Modules = Annotated[list[str] | None, typer.Argument(help="Modules; all installed ones if none is named.")]


@app.command("apply")
def apply_topology(modules: Modules = None, as_json: Json = False) -> None:
    """Declare exchanges, queues and bindings at the broker; safe to repeat."""
    applied = asyncio.run(_apply(load_settings(), modules))
    if as_json:
        print_json([asdict(topology) for topology in applied])
        return
    for topology in applied:
        typer.echo(
            f"{topology.module}: {len(topology.exchanges)} exchanges, {len(topology.queues)} queues "
            f"({topology.shards} shards), {len(topology.bindings)} bindings"
        )


@app.command()
def show(modules: Modules = None, as_json: Json = False) -> None:
    """Show what `apply` declares; it needs no broker."""
    topologies = asyncio.run(_planned(load_settings(), modules))
    if as_json:
        print_json([asdict(topology) for topology in topologies])
        return
    for topology in topologies:
        Console().print(_tree(topology))


def _tree(topology: Topology) -> Tree:
    tree = Tree(f"[bold]{topology.module}")
    queues = {queue.name: queue for queue in topology.queues}
    for exchange in topology.exchanges:
        branch = tree.add(f"{exchange.name} [dim]({exchange.type} exchange)")
        for binding in topology.bindings:
            if binding.source == exchange.name:
                key = f"{binding.routing_key} " if binding.routing_key else ""
                kind = f" [dim]({_kind(queues[binding.destination])})" if binding.destination in queues else ""
                branch.add(f"[dim]{key}→[/dim] {binding.destination}{kind}")
    return tree


def _kind(queue: Queue) -> str:
    is_single = queue.arguments.get("x-single-active-consumer", False)
    return f"{queue.arguments['x-queue-type']} queue{', single active consumer' if is_single else ''}"


async def _planned(settings: Settings, modules: list[str] | None) -> list[Topology]:
    return [await planned(settings, module) for module in find_modules(modules).values()]


async def _apply(settings: Settings, modules: list[str] | None) -> list[Topology]:
    await migrate(settings.database_url)  # the number of shards is kept there
    return [await apply(settings, module) for module in find_modules(modules).values()]
