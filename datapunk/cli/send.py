"""`datapunk send`: a command to an actor."""

from __future__ import annotations

import asyncio
import time
from typing import Annotated, Any
from uuid import UUID

import typer
import uuid_utils.compat
from rich.markup import escape

from datapunk.cli.completion import types
from datapunk.cli.messaging import (
    FAILED,
    REJECTED,
    Avro,
    Json,
    Session,
    Tenant,
    TimeoutS,
    decode_data,
    open_session,
    out,
    print_json,
    read_data,
    traced,
)
from datapunk.client import Client
from datapunk.messages.catalogue import Kind
from datapunk.messages.message import Command
from datapunk.messages.outcome import Outcome, Status
from datapunk.messages.shown import outcome_values


def send(
    type: Annotated[
        str,
        typer.Argument(help="The command's type, as in lake.CreateDataset.", autocompletion=types("command")),
    ],
    actor: Annotated[str, typer.Option("--actor", help="The id of the actor it's for, as in flights.")],
    data: Annotated[str, typer.Option("--data", help="Its fields as JSON; @file, or - for standard input.")] = "{}",
    wait: Annotated[bool, typer.Option("--wait", help="Wait for the outcome, and show it.")] = False,
    id: Annotated[
        UUID | None, typer.Option("--id", help="Its id; one that was processed before has no second effect.")
    ] = None,
    tenant: Tenant = None,
    avro: Avro = False,
    timeout_s: TimeoutS = 10.0,
    as_json: Json = False,
) -> None:
    """Send a command, and with --wait show its outcome.

    --data is plain JSON, as over HTTP: unions carry no tag, bytes are base64, times are ISO 8601 text, and a
    field that holds JSON text takes the JSON itself. What isn't valid as plain JSON is read as Avro JSON
    (tagged unions: {"key": {"string": "id"}}); with --avro it's always Avro JSON.

    Exits with 0 if it was accepted (without --wait: if the broker has it), 3 if it was rejected, 4 if it
    failed, 1 for anything else.
    """
    session = open_session()
    message_type = session.catalogue.find(type, Kind.COMMAND)
    command = decode_data(read_data(data), message_type, session.registry, is_avro=avro)
    assert isinstance(command, Command)  # its type was found among commands
    message_id = id or uuid_utils.compat.uuid7()
    options: dict[str, Any] = {
        "tenant": tenant or session.settings.default_tenant,
        "message_id": message_id,
        "wait": wait,
        "timeout_s": timeout_s,
    }
    began = time.perf_counter()
    with traced(session.settings, "send"):
        outcome = asyncio.run(_send(session, command, actor, options))
    took_ms = (time.perf_counter() - began) * 1000
    if isinstance(outcome, Outcome):
        _show(outcome, took_ms, as_json=as_json)
        if outcome.status is not Status.Accepted:
            raise typer.Exit(REJECTED if outcome.status is Status.Rejected else FAILED)
    elif as_json:
        print_json({"id": str(message_id), "type": type, "actor_id": actor, "status": "sent"})
    else:
        whose = f" --tenant {escape(tenant)}" if tenant else ""
        out().print(f"[green]sent[/green] {message_id}  [dim]datapunk trace {message_id}{whose}[/dim]")


async def _send(session: Session, command: Command, actor: str, options: dict[str, Any]) -> Outcome | UUID:
    async with Client(session.settings, session.registry) as client:
        return await client.send(command, actor, **options)


def _show(outcome: Outcome, took_ms: float, *, as_json: bool) -> None:
    if as_json:
        values = outcome_values(outcome)
        del values["links"]  # they lead nowhere outside of HTTP
        print_json({**values, "took_ms": round(took_ms, 2)})
        return
    status = outcome.status.value.lower()
    if outcome.status is Status.Accepted:
        what = f"version {outcome.version}, position {outcome.position}"
        what += f", {len(outcome.events)} event{'' if len(outcome.events) == 1 else 's'}"
        out().print(f"[green]{status}[/green] {escape(outcome.actor)}: {what} [dim]({took_ms:.0f} ms)[/dim]")
        return
    colour = "yellow" if outcome.status is Status.Rejected else "red"
    out().print(f"[{colour}]{status}[/{colour}] {escape(outcome.code)}: {escape(outcome.message)}")
    for name, value in sorted(outcome.details.items()):
        out().print(f"  [dim]{escape(name)}:[/dim] {escape(value)}")
