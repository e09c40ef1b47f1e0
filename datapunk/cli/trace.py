"""`datapunk trace`: the way of one command."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID

import typer
from rich import box
from rich.markup import escape
from rich.table import Table

from datapunk.cli.messaging import Json, Session, Tenant, open_session, out, print_json
from datapunk.errors import StoreError
from datapunk.messages.outcome import Status
from datapunk.messages.shown import outcome_values
from datapunk.module import Module
from datapunk.store.connection import connect
from datapunk.telemetry.journey import Journey, State, journey_of

COLOURS = {Status.Accepted: "green", Status.Rejected: "yellow", Status.Failed: "red"}


def trace(
    id: Annotated[UUID, typer.Argument(help="The command's id, as `datapunk send` prints it.")],
    tenant: Tenant = None,
    as_json: Json = False,
) -> None:
    """Show every step of one command, with times: sent, received, committed, published, projected.

    Times are those that were recorded: "sent" by the sender's clock, "committed" when its transaction began;
    "projected" is the latest that it can have been (≤). Exits with 1 if the command isn't known.
    """
    session = open_session()
    whose = tenant or session.settings.default_tenant
    journey = asyncio.run(_find(session, whose, id))
    if journey is None:
        raise StoreError(
            f"no command {id} of tenant {whose} was processed here: it's still in its queue (no worker runs?), among "
            "the dead letters, or its record was pruned"
        )
    if as_json:
        print_json(_values(journey))
    else:
        _show(journey)


async def _find(session: Session, tenant: str, id: UUID) -> Journey | None:
    async with await connect(session.settings.database_url) as conn:
        return await journey_of(conn, session.registry, tenant, id, _listening(session.catalogue.modules))


def _listening(modules: Collection[Module]) -> dict[str, Collection[str]]:
    return {
        projection.full_name(): {event.message_type for event in projection.handlers}
        for module in modules
        for projection in module.projections
    }


def _values(journey: Journey) -> dict[str, Any]:
    outcome = outcome_values(journey.outcome) | {"position": journey.command.position}
    del outcome["links"]
    steps = [
        {
            "name": step.name,
            "state": step.state.value,
            "at": step.at,
            "is_latest": step.is_latest,
            "detail": step.detail,
            "after_ms": _after_ms(journey, step.at),
        }
        for step in journey.steps
    ]
    return {
        "id": str(journey.command.id),
        "type": journey.command.type,
        "tenant": journey.command.tenant,
        "actor": journey.command.stream,
        "correlation_id": journey.metadata.get("correlation_id"),
        "traceparent": journey.metadata.get("traceparent"),
        "outcome": outcome,
        "steps": steps,
    }


def _show(journey: Journey) -> None:
    command, status = journey.command, journey.outcome.status
    out().print(
        f"[bold]{escape(command.type)}[/bold] → {escape(command.stream)}  "
        f"[{COLOURS[status]}]{status.value.lower()}[/]  [dim]tenant {escape(command.tenant)}[/dim]"
    )
    for name in ("correlation_id", "traceparent"):
        if value := journey.metadata.get(name):
            out().print(f"[dim]{name.replace('_', ' ')} {escape(value)}[/dim]")
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("Step")
    table.add_column("At (UTC)", no_wrap=True)
    table.add_column("After", justify="right", no_wrap=True)
    table.add_column("What", overflow="fold")
    for step in journey.steps:
        after_ms = _after_ms(journey, step.at)
        mark = "≤ " if step.is_latest else ""
        table.add_row(
            step.name if step.state is State.DONE else f"[yellow]{step.name} …[/yellow]",
            "" if step.at is None else mark + _clock(step.at),
            "" if after_ms is None else f"{mark}{after_ms:,.1f} ms",
            escape(step.detail),
        )
    out().print(table)


def _after_ms(journey: Journey, at: datetime | None) -> float | None:
    """Since it was received: the sender's clock may differ, and tells only seconds."""
    origin = next((step.at for step in journey.steps if step.at is not None and step.name != "sent"), None)
    if at is None or origin is None:
        return None
    return round((at - origin).total_seconds() * 1000, 3)


def _clock(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
