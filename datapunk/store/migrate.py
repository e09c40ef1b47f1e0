"""Brings a database to the present schema: each .sql file in `migrations/` once, in order, never back."""

from __future__ import annotations

import hashlib
from importlib.resources import files
from typing import Any, LiteralString, cast

import psycopg
from psycopg import AsyncConnection, sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from datapunk.errors import StoreError
from datapunk.store.connection import connect

# Negative, and so outside the range of keys that readers look at: see migrations/0002.
# One process migrates at a time.
LOCK = -4450


async def migrate(database_url: str) -> list[str]:
    """Apply the migrations that are missing; creates the database if it isn't there.

    Returns:
        The names of those applied.

    Raises:
        StoreError: if an applied migration was changed since, or the database is newer than this code.
    """
    await _create_database(database_url)
    async with await connect(database_url) as conn:
        await conn.execute("select pg_advisory_lock(%s)", (LOCK,))
        try:
            return await _apply(conn)
        finally:
            await conn.execute("select pg_advisory_unlock(%s)", (LOCK,))


def migrations() -> list[tuple[str, str]]:
    """Name and text of each migration, in order."""
    folder = files("datapunk.store") / "migrations"
    return sorted((path.name, path.read_text()) for path in folder.iterdir() if path.name.endswith(".sql"))


async def _apply(conn: AsyncConnection[Any]) -> list[str]:
    await conn.execute(
        "create table if not exists migrations "
        "(name text primary key, checksum text not null, at timestamptz not null default now())"
    )
    cursor = await conn.execute("select name, checksum from migrations")
    applied = dict(await cursor.fetchall())
    known = migrations()
    newer = set(applied) - {name for name, _ in known}
    if newer:
        raise StoreError(f"the database is newer than this code (it has {', '.join(sorted(newer))}); upgrade the code")
    done: list[str] = []
    for name, text in known:
        checksum = hashlib.sha256(text.encode()).hexdigest()
        if name in applied:
            if applied[name] != checksum:
                raise StoreError(f"migration {name} was changed after it was applied; put the change in a new one")
            continue
        async with conn.transaction():
            await conn.execute(sql.SQL(cast(LiteralString, text)))
            await conn.execute("insert into migrations (name, checksum) values (%s, %s)", (name, checksum))
        done.append(name)
    return done


async def _create_database(database_url: str) -> None:
    try:
        async with await connect(database_url):
            return
    except psycopg.OperationalError as error:
        name = conninfo_to_dict(database_url).get("dbname")
        if name is None or f'database "{name}" does not exist' not in str(error):
            raise
        async with await connect(make_conninfo(database_url, dbname="postgres")) as conn:
            try:
                await conn.execute(sql.SQL("create database {}").format(sql.Identifier(str(name))))
            except (psycopg.errors.DuplicateDatabase, psycopg.errors.UniqueViolation):
                return  # another process was quicker
