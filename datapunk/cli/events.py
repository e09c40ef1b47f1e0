"""`datapunk events`: the event store, read, followed, exported and imported, or one actor's stream."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import Annotated, Any

import msgspec
import typer
from psycopg import AsyncConnection
from rich.markup import escape

from datapunk.cli.archive import export, import_
from datapunk.cli.messaging import Json, Session, Tenant, open_session, out, print_json
from datapunk.errors import ConfigurationError
from datapunk.messages.catalogue import Kind
from datapunk.messages.shown import cloud_event
from datapunk.store.connection import connect
from datapunk.store.events import RecordedEvent
from datapunk.store.read import read_all, read_stream, safe_position

app = typer.Typer(no_args_is_help=True)
app.command()(export)
app.command("import")(import_)

PAGE = 500  # events a query
POLL_S = 0.2  # between two looks while following
BODY_WIDTH = 160  # characters of a body on a line

After = Annotated[int, typer.Option(min=0, help="Only events after this position.")]
Types = Annotated[list[str] | None, typer.Option("--type", help="Only this message type; may be repeated.")]


@app.command()
def read(
    after: After = 0,
    limit: Annotated[int, typer.Option(min=1, help="Most events to show.")] = 100,
    types: Types = None,
    as_json: Json = False,
) -> None:
    """Show events of all actors, in the order of their positions."""
    asyncio.run(_read(_open(types), after, limit, types, as_json=as_json))


@app.command()
def stream(
    name: Annotated[str, typer.Argument(help="An actor's stream, as in lake.dataset/weather.")],
    from_version: Annotated[int, typer.Option("--from", min=1, help="First version to show.")] = 1,
    tenant: Tenant = None,
    as_json: Json = False,
) -> None:
    """Show one actor's events."""
    session = open_session()
    count = asyncio.run(
        _stream(session, tenant or session.settings.default_tenant, name, from_version, as_json=as_json)
    )
    if not count:
        raise ConfigurationError(
            f"no events from version {from_version} on in {name!r}; a stream is named like lake.dataset/weather"
        )


@app.command()
def tail(
    after: Annotated[int | None, typer.Option(min=0, help="Start after this position; by default now.")] = None,
    types: Types = None,
    as_json: Json = False,
) -> None:
    """Follow events as they're stored, until Ctrl-C. (`datapunk tail` follows the broker instead.)"""
    asyncio.run(_tail(_open(types), after, types, as_json=as_json))


def _open(types: list[str] | None) -> Session:
    session = open_session()
    for type in types or ():
        session.catalogue.find(type, Kind.EVENT)  # a misspelt one would just never come
    return session


@asynccontextmanager
async def _store(session: Session) -> AsyncGenerator[AsyncConnection[Any]]:
    async with await connect(session.settings.database_url) as conn:
        await session.registry.sync(conn)  # old events were written with schemas that only the database knows
        yield conn


async def _read(session: Session, after: int, limit: int, types: list[str] | None, *, as_json: bool) -> None:
    async with _store(session) as conn:
        while limit > 0:
            events, reached = await read_all(conn, after, min(PAGE, limit), types=types)
            _show(session, events, as_json=as_json)
            if reached == after:
                return
            after, limit = reached, limit - len(events)


async def _stream(session: Session, tenant: str, name: str, version: int, *, as_json: bool) -> int:
    count = 0
    async with _store(session) as conn:
        while True:
            events = await read_stream(conn, tenant, name, from_version=version, limit=PAGE)
            _show(session, events, as_json=as_json)
            count += len(events)
            if len(events) < PAGE:
                return count
            version = events[-1].version + 1


async def _tail(session: Session, after: int | None, types: list[str] | None, *, as_json: bool) -> None:
    async with _store(session) as conn:
        position = await safe_position(conn) if after is None else after
        while True:
            events, reached = await read_all(conn, position, PAGE, types=types)
            _show(session, events, as_json=as_json)
            if reached == position:
                await asyncio.sleep(POLL_S)
            position = reached


def _show(session: Session, events: Sequence[RecordedEvent], *, as_json: bool) -> None:
    for event in events:
        whole = cloud_event(event, session.registry, session.catalogue)
        if as_json:
            print_json(whole)
            continue
        shown = msgspec.json.decode(whole, type=dict[str, msgspec.Raw])
        body = bytes(shown.get("data", shown.get("data_base64", msgspec.Raw(b"")))).decode()
        body = body if len(body) <= BODY_WIDTH else body[: BODY_WIDTH - 1] + "…"
        out().print(
            f"[dim]{event.position:>8}  {event.at:%Y-%m-%d %H:%M:%S}[/dim]  [bold]{event.type}[/bold]  "
            f"{escape(event.stream)} [dim]v{event.version}[/dim]  {escape(body)}",
            soft_wrap=True,
        )
