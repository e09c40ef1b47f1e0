"""The `datapunk` command: one table of sub-commands, each loaded only when called, so that help is quick."""

from __future__ import annotations

import importlib
import importlib.metadata
import logging
import os
import sys
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import entry_points
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperCommand, TyperGroup

from datapunk.garbage import collect_rarely

_INTERRUPTED = 130  # as shells count: 128 + SIGINT


@dataclass(frozen=True, slots=True)
class Entry:
    """A sub-command: where it is, and its line in `datapunk --help`.

    `attribute` names a `typer.Typer` (a group of commands) or a function (one command).
    """

    module: str
    attribute: str
    summary: str
    panel: str


_MESSAGES, _STACK, _RUNNING = "Messages", "The stack on this machine", "Running modules"
_MODULES = "Of modules"

# Where modules name commands of their own, each a `typer.Typer`, by the word after `datapunk`.
ENTRY_POINT_GROUP = "datapunk.commands"

COMMANDS = {
    "up": Entry("datapunk.cli.stack", "up", "Start RabbitMQ, Postgres, Redis and Temporal.", _STACK),
    "status": Entry("datapunk.cli.stack", "status", "Show what runs, and where.", _STACK),
    "down": Entry("datapunk.cli.stack", "down", "Stop them; their data are kept.", _STACK),
    "logs": Entry("datapunk.cli.stack", "logs", "Show what they log.", _STACK),
    "doctor": Entry("datapunk.cli.doctor", "doctor", "Check this machine, and say what to do.", _STACK),
    "run": Entry("datapunk.cli.run", "run", "Run modules: their actors, projections and queries.", _RUNNING),
    "topology": Entry("datapunk.cli.topology", "app", "Declare the modules' exchanges and queues.", _RUNNING),
    "module": Entry("datapunk.cli.module", "app", "Start a module of your own.", _RUNNING),
    "projections": Entry("datapunk.cli.projections", "app", "List, rebuild, pause and resume them.", _RUNNING),
    "secrets": Entry("datapunk.cli.secrets", "app", "Keep secrets, such as keys to sign with.", _RUNNING),
    "workflows": Entry("datapunk.cli.workflows", "app", "Record histories of workflows, and release them.", _RUNNING),
    "schedules": Entry("datapunk.cli.schedules", "app", "List, trigger, pause and resume them.", _RUNNING),
    "schemas": Entry("datapunk.cli.schemas", "app", "Generate, check, list and show Avro schemas.", _RUNNING),
    "send": Entry("datapunk.cli.send", "send", "Send a command, and show its outcome.", _MESSAGES),
    "query": Entry("datapunk.cli.query", "query", "Ask a query, and show the answer.", _MESSAGES),
    "tail": Entry("datapunk.cli.tail", "tail", "Follow events as they are published.", _MESSAGES),
    "events": Entry("datapunk.cli.events", "app", "Read the event store; export and import it.", _MESSAGES),
    "store": Entry("datapunk.cli.store", "app", "Check that the event store is as it should be.", _MESSAGES),
    "actor": Entry("datapunk.cli.actor", "app", "Show an actor's state, now or at any time.", _MESSAGES),
    "trace": Entry("datapunk.cli.trace", "trace", "Show every step of one command, with times.", _MESSAGES),
}


@lru_cache(maxsize=1)
def commands() -> dict[str, Entry]:
    """All sub-commands: ours, and those that installed modules bring. Theirs are looked for only when asked for."""
    found: dict[str, Entry] = {}
    for point in sorted(entry_points(group=ENTRY_POINT_GROUP), key=lambda point: point.name):
        found[point.name] = Entry(point.module, point.attr, "Brought by an installed module.", _MODULES)
    return {**found, **COMMANDS}


def _placeholder(name: str, entry: Entry) -> TyperCommand:
    return TyperCommand(name, help=entry.summary, rich_help_panel=entry.panel)


class LazyGroup(TyperGroup):
    """Knows its sub-commands by name and summary, and imports the one that is called."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        for name, entry in COMMANDS.items():
            self.commands[name] = _placeholder(name, entry)

    def list_commands(self, ctx: Any) -> list[str]:
        """Ours, then those of modules."""
        return [*COMMANDS, *(name for name in commands() if name not in COMMANDS)]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """One of ours, or else of a module."""
        found = super().get_command(ctx, cmd_name)
        if found is None and cmd_name in commands():
            found = _placeholder(cmd_name, commands()[cmd_name])
        return found

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Replace the placeholder that was found by the real command."""
        name, _, rest = super().resolve_command(ctx, args)
        return name, load_command(name or ""), rest

    def invoke(self, ctx: Any) -> Any:
        """Run the command. Here alone errors become what people see: one message, no traceback."""
        try:
            return super().invoke(ctx)
        except Exception as error:
            from datapunk.cli.failures import explained

            message = explained(error)
            if message is None:
                raise
            print(message, file=sys.stderr)
            sys.exit(1)
        except KeyboardInterrupt:
            sys.exit(_INTERRUPTED)


def load_command(name: str) -> Any:
    """Import the sub-command called `name`; returns what the command line framework runs."""
    entry = COMMANDS.get(name) or commands()[name]
    target = getattr(importlib.import_module(entry.module), entry.attribute)
    if isinstance(target, typer.Typer):
        command = typer.main.get_group(target)
        command.help = command.help or entry.summary
    else:
        single = typer.Typer(add_completion=False)
        single.command(name)(target)
        command = typer.main.get_command(single)
    command.name = name
    return command


app = typer.Typer(cls=LazyGroup, no_args_is_help=True, pretty_exceptions_enable=False)


def _version(is_asked: bool) -> None:
    if is_asked:
        print(f"datapunk {importlib.metadata.version('datapunk')}")
        raise typer.Exit


@app.callback()
def datapunk(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version, and exit.")
    ] = False,
) -> None:
    """Datapunk, a self-hosted, event-sourced data platform: commands in, events out, tables to query."""


def main() -> None:
    """The entry point."""
    collect_rarely()  # else it takes a tenth of the time in which a command is loaded
    # What libraries say of a failure isn't for people; ours is. `run` sends both to its log.
    logging.getLogger().addHandler(logging.NullHandler())
    try:
        app(prog_name="datapunk")
    except SystemExit as ending:
        if "temporalio.bridge" in sys.modules and isinstance(ending.code, int):
            _leave(ending.code)
        raise


def _leave(status: int) -> NoReturn:
    """End at once: the threads of Temporal's SDK may crash a Python that takes its leave slowly.

    https://github.com/temporalio/sdk-python/issues/300
    """
    with suppress(OSError):  # as where the reader of a pipe has gone
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(status)


if __name__ == "__main__":
    main()
