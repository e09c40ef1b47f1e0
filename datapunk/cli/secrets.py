"""`datapunk secrets`: secrets that the platform must know, such as keys to sign with."""

from __future__ import annotations

import asyncio
import sys
from base64 import b64encode
from collections.abc import Awaitable, Callable
from secrets import token_bytes
from typing import Annotated, Any, TypeVar
from uuid import UUID

import typer
from psycopg import AsyncConnection

from datapunk.cli.messaging import Json, Tenant, print_json
from datapunk.errors import ConfigurationError
from datapunk.settings import Settings, load_settings
from datapunk.store.connection import connect
from datapunk.store.migrate import migrate
from datapunk.store.vault import Vault

T = TypeVar("T")
PREFIX, SECRET_BYTES = "whsec_", 32  # as Standard Webhooks writes a key to sign with; it wants 24 to 64 bytes
MAX_SECRET = 10_000  # characters

app = typer.Typer(no_args_is_help=True)


@app.callback()
def secrets() -> None:
    """Keep secrets that the platform must know. Commands, events and queries name them by id only."""


@app.command()
def create(
    is_given: Annotated[
        bool, typer.Option("--given", help="Keep the secret that standard input has, instead of a new one.")
    ] = False,
    tenant: Tenant = None,
    as_json: Json = False,
) -> None:
    """Make a key to sign with, and print its id and itself: the only time that it's shown.

    If there's no key yet to encrypt secrets with, one is made on this machine, in DATAPUNK_DIRECTORY.
    """
    settings = load_settings()
    secret = _read_secret() if is_given else PREFIX + b64encode(token_bytes(SECRET_BYTES)).decode()
    vault = Vault.of(settings, may_make_key=True)
    whose = tenant or settings.default_tenant
    id = _with_store(settings, lambda conn: vault.put(conn, whose, secret))
    shown = {} if is_given else {"secret": secret}
    if as_json:
        print_json({"id": str(id), **shown})
        return
    typer.echo(f"id      {id}")
    for name, value in shown.items():
        typer.echo(f"{name}  {value}")


@app.command()
def destroy(
    id: Annotated[UUID, typer.Argument(help="As `create` printed it.")],
    tenant: Tenant = None,
) -> None:
    """Destroy a secret. What needs it fails from then on."""
    settings = load_settings()
    vault = Vault.of(settings)
    whose = tenant or settings.default_tenant
    if not _with_store(settings, lambda conn: vault.destroy(conn, whose, id)):
        raise ConfigurationError(f"tenant {whose} has no secret {id}")
    typer.echo("destroyed")


@app.command()
def reseal() -> None:
    """Encrypt with the first of DATAPUNK_SECRETS_KEYS whatever another one encrypted, so that the others can go."""
    settings = load_settings()
    vault = Vault.of(settings)
    typer.echo(f"resealed {_with_store(settings, vault.reseal):,}")


def _with_store(settings: Settings, act: Callable[[AsyncConnection[Any]], Awaitable[T]]) -> T:
    async def run() -> T:
        await migrate(settings.database_url)
        async with await connect(settings.database_url) as conn:
            return await act(conn)

    return asyncio.run(run())


def _read_secret() -> str:
    secret = sys.stdin.read(MAX_SECRET + 1).strip()
    if not secret or len(secret) > MAX_SECRET:
        raise ConfigurationError(f"a secret has 1 to {MAX_SECRET:,} characters")
    return secret
