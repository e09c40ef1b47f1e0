"""`datapunk tail`: events as the broker publishes them."""

from __future__ import annotations

import asyncio
import sys
from typing import Annotated

import msgspec
import typer
from rich.markup import escape

from datapunk.cli.messaging import Json, Session, open_session, out, print_json
from datapunk.client import Client
from datapunk.errors import BrokerError, ConfigurationError, ConnectionLost, MessageError
from datapunk.messages.catalogue import Kind
from datapunk.module import find_modules
from datapunk.subscription import ReceivedEvent

RETRY_S = 1.0  # pause before a module that isn't there yet is looked for again
BODY_WIDTH = 160  # characters of a body on a line


def tail(
    pattern: Annotated[
        str,
        typer.Argument(
            help="Module, kind of actor and event, with AMQP's * and #, as in 'lake.#' or 'lake.dataset.*'."
        ),
    ] = "#",
    tenant: Annotated[str, typer.Option(help="Only this tenant's; * means all.")] = "*",
    as_json: Json = False,
) -> None:
    """Follow events as they are published, until Ctrl-C. For those of the past, see `datapunk events`."""
    asyncio.run(_tail(open_session(), pattern, tenant, as_json=as_json))


async def _tail(session: Session, pattern: str, tenant: str, *, as_json: bool) -> None:
    first = pattern.partition(".")[0]
    installed = sorted(find_modules())
    modules = installed if first in ("#", "*") else [first]
    if first not in ("#", "*", *installed):
        raise ConfigurationError(
            f"no module named {first!r} is installed; a pattern starts with one of {', '.join(installed)}"
        )
    async with Client(session.settings, session.registry) as client:
        await asyncio.gather(
            *(_follow(client, session, module, f"{tenant}.{pattern}", as_json=as_json) for module in modules)
        )


async def _follow(client: Client, session: Session, module: str, pattern: str, *, as_json: bool) -> None:
    is_told = False
    while True:
        try:
            async for received in client.subscribe(pattern, module):
                _show(received, session, as_json=as_json)
        except ConnectionLost:
            raise
        except BrokerError as error:  # it was never run here
            if not is_told:
                print(f"waiting for {module}: {error}", file=sys.stderr)
            is_told = True
            await asyncio.sleep(RETRY_S)


def _show(received: ReceivedEvent, session: Session, *, as_json: bool) -> None:
    try:
        body = session.catalogue.find(received.type, Kind.EVENT).plain.encode(received.event)
    except MessageError as error:
        body = msgspec.json.encode({"error": str(error)})
    kind = ".".join(received.routing_key.split(".")[1:3])
    actor = f"{kind}/{received.headers.get('actor-id', '')}"
    if as_json:
        print_json(
            {
                "id": received.id,
                "type": received.type,
                "actor": actor,
                "tenant": received.headers.get("tenant"),
                "position": received.headers.get("position"),
                "version": received.headers.get("version"),
                "at": received.headers.get("cloudEvents:time"),
                "causation_id": received.headers.get("causation-id"),
                "data": msgspec.Raw(body),
            }
        )
        return
    text = body.decode()
    text = text if len(text) <= BODY_WIDTH else text[: BODY_WIDTH - 1] + "…"
    time = f"{received.at:%H:%M:%S}" if received.at else "--:--:--"
    out().print(
        f"[dim]{time}[/dim]  [bold]{escape(received.type)}[/bold]  {escape(actor)} "
        f"[dim]v{received.headers.get('version')}[/dim]  {escape(text)}",
        soft_wrap=True,
    )
