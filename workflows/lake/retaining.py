"""`datapunk lake retain`: how long a dataset's records are kept."""

from __future__ import annotations

import typer

from datapunk.cli.messaging import open_session, print_json
from datapunk.client import Client
from datapunk.errors import ConfigurationError
from datapunk.messages.outcome import Status
from schemas.lake.commands import SetRetention


async def retain(dataset: str, days: int | None, field: str | None, tenant: str | None, *, as_json: bool) -> None:
    """Send the command.

    Raises:
        ConfigurationError: if Lake refuses it.
    """
    session = open_session()
    async with Client(session.settings, session.registry) as client:
        outcome = await client.send(SetRetention(days=days, field=field), dataset, tenant=tenant)
    if outcome.status is not Status.Accepted:
        raise ConfigurationError(f"{outcome.code}: {outcome.message}")
    if as_json:
        print_json({"dataset": dataset, "days": days, "field": field, "position": outcome.position})
        return
    since = f"their {field}" if field else "when they came"
    typer.echo(f"records of {dataset} are kept " + ("for ever" if days is None else f"{days:,} days from {since}"))
