"""`datapunk dlq`: list, show, compare, redrive, edit and discard dead letters."""

from __future__ import annotations

import asyncio
import getpass
import json
from datetime import datetime
from pathlib import Path
from shlex import quote
from typing import Annotated
from uuid import UUID

import typer

from actors.nexus.cli.asking import Filter, count, count_idle, find, get, open_letters, send
from actors.nexus.cli.bulk import Bulk, carry_out, start
from actors.nexus.cli.editing import edited_body
from actors.nexus.cli.showing import show_counts, show_diff, show_letter, show_list
from datapunk.cli.messaging import Json, Tenant, open_session, out, print_json
from schemas.nexus.commands import DiscardDeadLetter, EditDeadLetter, RedriveDeadLetter
from schemas.nexus.types import BulkAct, DeadLetterState

HELP = "Dead letters: messages that couldn't be handled. Look at them, mend them, send them again."

app = typer.Typer(no_args_is_help=True, help=HELP)

Id = Annotated[UUID, typer.Argument(help="The dead letter's id, as `datapunk dlq list` shows it.")]
Ids = Annotated[list[UUID] | None, typer.Argument(help="Their ids; none: all that the options describe.")]
Module = Annotated[str | None, typer.Option("--module", help="Only this module's.")]
Type = Annotated[str | None, typer.Option("--type", help="Only of this message type.")]
Reason = Annotated[str | None, typer.Option("--reason", help="Only with this code, as in undecodable.")]
State = Annotated[
    DeadLetterState | None, typer.Option("--state", case_sensitive=False, help="Only those that stand so.")
]
Actor = Annotated[str | None, typer.Option("--actor", help="Only those for this actor.")]
About = Annotated[str | None, typer.Option("--about-tenant", help="Only those about this tenant's data.")]
Text = Annotated[str | None, typer.Option("--text", help="Only those whose message has this in it.")]
Since = Annotated[datetime | None, typer.Option("--since", help="Only those put aside then or later (UTC).")]
Until = Annotated[datetime | None, typer.Option("--until", help="Only those put aside before (UTC).")]
By = Annotated[str | None, typer.Option("--by", help="Who does it; by default your login.")]
Why = Annotated[str, typer.Option("--why", help="Why: kept with it.")]
Rate = Annotated[float | None, typer.Option("--rate", min=0.01, help="At most so many a second; by default no limit.")]
Background = Annotated[
    str | None,
    typer.Option("--background", metavar="NAME", help="Let workers do it, as bulk work of this name; takes no ids."),
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Don't ask.")]


@app.callback()
def dlq() -> None:
    """Dead letters: messages that couldn't be handled. Look at them, mend them, send them again."""


@app.command("list")
def list_(
    module: Module = None,
    type: Type = None,
    reason: Reason = None,
    state: State = None,
    actor: Actor = None,
    about: About = None,
    text: Text = None,
    since: Since = None,
    until: Until = None,
    grouped: Annotated[bool, typer.Option("--grouped", help="How many of each cause and state, instead.")] = False,
    limit: Annotated[int, typer.Option("--limit", min=1, max=1000, help="At most so many, the latest.")] = 50,
    tenant: Tenant = None,
    as_json: Json = False,
) -> None:
    """List dead letters, the latest first; without --state those that are open: neither resolved nor discarded."""
    session = open_session()
    chosen = Filter(module, type, reason, state, actor, about, text, since, until)
    if grouped:
        show_counts(asyncio.run(count(session, chosen, tenant)), as_json=as_json)
    else:
        show_list(asyncio.run(find(session, chosen, tenant, limit)), as_json=as_json)


@app.command()
def show(
    id: Id,
    body: Annotated[
        bool, typer.Option("--body", help="Print the original body, byte by byte, and nothing else.")
    ] = False,
    tenant: Tenant = None,
    as_json: Json = False,
) -> None:
    """Show a dead letter: what is wrong, what it was, and what happened to it since."""
    session = open_session()
    show_letter(asyncio.run(get(session, id, tenant)), session, only_body=body, as_json=as_json)


@app.command()
def diff(id: Id, tenant: Tenant = None) -> None:
    """Show how the edited message differs from its original."""
    session = open_session()
    show_diff(asyncio.run(get(session, id, tenant)), session.registry)


@app.command()
def edit(
    id: Id,
    body: Annotated[
        Path | None,
        typer.Option(
            "--body", exists=True, dir_okay=False, metavar="FILE", help="The new body; by default $EDITOR opens it."
        ),
    ] = None,
    type: Annotated[str | None, typer.Option("--type", help="Make it a message of this type.")] = None,
    actor: Annotated[str | None, typer.Option("--actor", help="Send it to this actor.")] = None,
    content_type: Annotated[str | None, typer.Option("--content-type", help="What the body is encoded as.")] = None,
    redrive_: Annotated[bool, typer.Option("--redrive", help="And publish it again.")] = False,
    by: By = None,
    why: Why = "",
    tenant: Tenant = None,
    as_json: Json = False,
) -> None:
    """Change a dead letter; it must then fit its schema, or the reason is told.

    Without --body, --type, --actor or --content-type, $EDITOR opens the body as Avro JSON.
    """
    session = open_session()
    new_body, new_content_type = (body.read_bytes() if body else None), content_type
    if body is None and type is None and actor is None and content_type is None:
        found = asyncio.run(get(session, id, tenant))
        new_body, new_content_type = edited_body(found, session.registry)
        if new_body is None:
            out().print("nothing changed")
            return
        if found.edit is not None:  # each edit says all that differs
            type, actor = found.edit.type, found.edit.actor
    who = by or getpass.getuser()
    commands = [
        EditDeadLetter(body=new_body, content_type=new_content_type, type=type, actor=actor, by=who, why=why),
        *([RedriveDeadLetter(by=who, why=why)] if redrive_ else []),
    ]
    outcomes = asyncio.run(send(session, id, commands, tenant))
    if as_json:
        print_json({"id": str(id), "did": [command.message_type for command in commands]})
    else:
        out().print(f"[green]edited[/green] {id}" + (" and published again" if redrive_ else ""))
    assert len(outcomes) == len(commands)


@app.command()
def redrive(
    ids: Ids = None,
    module: Module = None,
    type: Type = None,
    reason: Reason = None,
    state: State = None,
    actor: Actor = None,
    about: About = None,
    text: Text = None,
    since: Since = None,
    until: Until = None,
    rate: Rate = None,
    background: Background = None,
    by: By = None,
    why: Why = "",
    yes: Yes = False,
    tenant: Tenant = None,
    as_json: Json = False,
) -> None:
    """Publish dead letters again, the oldest first: those named, or all open ones that the options describe.

    Whatever was handled meanwhile isn't handled twice. Stop it with Ctrl-C, and run it again, at any time; or leave it
    to workers, with --background.
    """
    chosen = Filter(module, type, reason, state, actor, about, text, since, until)
    command = RedriveDeadLetter(by=by or getpass.getuser(), why=why)
    bulk = Bulk("redrive", "redriven", command, BulkAct.Redrive, rate)
    _in_bulk(bulk, ids, chosen, tenant, background, is_sure=yes, as_json=as_json)


@app.command()
def discard(
    ids: Ids = None,
    module: Module = None,
    type: Type = None,
    reason: Reason = None,
    state: State = None,
    actor: Actor = None,
    about: About = None,
    text: Text = None,
    since: Since = None,
    until: Until = None,
    rate: Rate = None,
    background: Background = None,
    by: By = None,
    why: Why = "",
    yes: Yes = False,
    tenant: Tenant = None,
    as_json: Json = False,
) -> None:
    """Give dead letters up: those named, or all open ones that the options describe. Their originals are kept."""
    chosen = Filter(module, type, reason, state, actor, about, text, since, until)
    command = DiscardDeadLetter(by=by or getpass.getuser(), why=why)
    bulk = Bulk("discard", "discarded", command, BulkAct.Discard, rate)
    _in_bulk(bulk, ids, chosen, tenant, background, is_sure=yes, as_json=as_json)


def _in_bulk(
    bulk: Bulk,
    ids: list[UUID] | None,
    chosen: Filter,
    tenant: str | None,
    background: str | None,
    *,
    is_sure: bool,
    as_json: bool,
) -> None:
    session = open_session()
    if not ids and chosen == Filter():
        raise typer.BadParameter("say which: ids, or an option such as --module; all: --since 2000-01-01")
    if background is not None:
        if ids:
            raise typer.BadParameter("--background takes options that describe letters, and no ids")
        _confirm(bulk, asyncio.run(count_idle(session, chosen, tenant)), is_sure=is_sure)
        position = asyncio.run(start(session, bulk, background, chosen, tenant))
        look = f"datapunk query nexus.GetBulk --data {quote(json.dumps({'bulk': background}))}"
        if as_json:
            print_json({"bulk": background, "position": position})
        else:
            out().print(f"started; how far it is: {look}", soft_wrap=True)
        return
    wanted = ids or asyncio.run(open_letters(session, chosen, tenant))
    if not ids:
        _confirm(bulk, len(wanted), is_sure=is_sure)
    done = asyncio.run(carry_out(session, bulk, wanted, tenant, is_quiet=as_json))
    if as_json:
        print_json({bulk.participle: done.accepted, "rejected": done.rejected})
    else:
        out().print(f"[green]{done.accepted:,} {bulk.participle}[/green]" + done.told())
    if done.rejected:
        raise typer.Exit(3)


def _confirm(bulk: Bulk, count: int, *, is_sure: bool) -> None:
    if count and not is_sure:
        typer.confirm(f"{bulk.verb} {count:,} dead letters?", abort=True)
