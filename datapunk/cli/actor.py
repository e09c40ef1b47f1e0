"""`datapunk actor`: an actor's state, now or at any time, and how it came to it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec
import typer
from rich.markup import escape

from datapunk.cli.messaging import Json, Session, Tenant, open_session, out, print_json
from datapunk.cli.points import read_point
from datapunk.errors import ConfigurationError, MessageError
from datapunk.messages.catalogue import Kind
from datapunk.store.connection import connect
from datapunk.time_travel import Change, Moment, Point, TimeMachine

app = typer.Typer(no_args_is_help=True)

VALUE_WIDTH = 160  # characters of a value on a line

Stream = Annotated[str, typer.Argument(help="Which, as in lake.dataset/weather.")]


@app.command()
def show(
    stream: Stream,
    at: Annotated[str | None, typer.Option(metavar="VERSION|TIME", help="As it was then; by default now.")] = None,
    tenant: Tenant = None,
    as_json: Json = False,
) -> None:
    """Show an actor's state as JSON, replayed from its events."""
    session = open_session()
    moment = asyncio.run(_state(session, stream, tenant, None if at is None else read_point(at)))
    if as_json:
        shown = {"actor": stream, "version": moment.version, "at": moment.at, "state": moment.state}
        print_json(_json(shown))
        return
    since = f" since {_clock(moment.at)}" if moment.at else ""
    out().print(f"[bold]{escape(stream)}[/bold] [dim]v{moment.version}{since}[/dim]")
    typer.echo(msgspec.json.format(_json(moment.state), indent=2).decode())


@app.command()
def history(
    stream: Stream,
    from_version: Annotated[int, typer.Option("--from", min=1, help="First version to show.")] = 1,
    until: Annotated[str | None, typer.Option(metavar="VERSION|TIME", help="Last one to show.")] = None,
    tenant: Tenant = None,
    as_json: Json = False,
) -> None:
    """Show each event of an actor, and what it changed in its state."""
    session = open_session()

    def tell(change: Change) -> None:
        if as_json:
            print_json(_json(_values(change, session)))
        else:
            _show(change, session)

    last = None if until is None else read_point(until)
    if not asyncio.run(_history(session, stream, tenant, from_version, last, tell)):
        raise ConfigurationError(f"{stream} has no events there")


def _machine(session: Session, conn: Any, stream: str, tenant: str | None) -> TimeMachine:
    whose = tenant or session.settings.default_tenant
    return TimeMachine(conn, session.registry, session.catalogue.modules, whose, stream)


async def _state(session: Session, stream: str, tenant: str | None, at: Point | None) -> Moment:
    async with await connect(session.settings.database_url) as conn:
        await session.registry.learn(conn)
        return await _machine(session, conn, stream, tenant).state(at)


async def _history(
    session: Session, stream: str, tenant: str | None, first: int, until: Point | None, tell: Callable[[Change], None]
) -> int:
    count = 0
    async with await connect(session.settings.database_url) as conn:
        await session.registry.learn(conn)
        async for change in _machine(session, conn, stream, tenant).history(after=first - 1, until=until):
            tell(change)
            count += 1
    return count


def _values(change: Change, session: Session) -> dict[str, Any]:
    recorded = change.recorded
    return {
        "version": recorded.version,
        "position": recorded.position,
        "at": recorded.at,
        "type": recorded.type,
        "id": recorded.id,
        "causation": recorded.causation,
        "event": msgspec.Raw(_plain(change, session)),
        "changes": {name: {"before": change.before[name], "after": change.after[name]} for name in change.after},
    }


def _show(change: Change, session: Session) -> None:
    recorded = change.recorded
    out().print(
        f"[bold]v{recorded.version}[/bold]  [dim]{_clock(recorded.at)}[/dim]  [bold]{escape(recorded.type)}[/bold]  "
        f"{escape(_short(_plain(change, session)))}"
    )
    for name, value in change.after.items():
        out().print(f"    {name}  [red]- {escape(_short(_json(change.before[name])))}[/red]")
        out().print(f"    {' ' * len(name)}  [green]+ {escape(_short(_json(value)))}[/green]")


def _plain(change: Change, session: Session) -> bytes:
    try:
        return session.catalogue.find(change.recorded.type, Kind.EVENT).plain.encode(change.event)
    except MessageError:  # it has no plain form
        return session.registry.encode(change.event)


def _json(value: Any) -> bytes:
    """A state may hold any Python value: what JSON has no form for is shown as Python writes it."""
    return msgspec.json.encode(value, enc_hook=repr)


def _short(text: bytes) -> str:
    shown = text.decode()
    return shown if len(shown) <= VALUE_WIDTH else shown[: VALUE_WIDTH - 1] + "…"


def _clock(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
