"""Dead letters as they came, and what of them was published again; see migrations/0010."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from hashlib import blake2b
from typing import Any
from uuid import UUID

import msgspec
from psycopg import AsyncConnection
from psycopg.rows import args_row

from datapunk.store.arrays import Bigints, Binaries, Texts, Uuids
from datapunk.store.statements import statement


class Original(msgspec.Struct, frozen=True):
    """A dead letter as it came.

    Attributes:
        id: its dead-id.
        queue: the queue of dead letters that it was taken from.
        properties: its AMQP properties, as AMQP writes them: also those that can't be read.
        body: its body.
    """

    id: UUID
    queue: str
    properties: bytes
    body: bytes

    @property
    def digest(self) -> bytes:
        """Tells the same letter, delivered twice, from another one under its id."""
        digest = blake2b(self.body, digest_size=16)
        digest.update(self.properties)
        return digest.digest()


class Redrive(msgspec.Struct, frozen=True):
    """An attempt to have a dead letter handled after all.

    Attributes:
        original: whose.
        attempt: which one, from 1.
        tenant: whose command it is.
        message_id: of the command; none if it's no command, or has no valid id.
        command_digest: by which the inbox knows the command again.
        is_settled: whether what came of it is known, or will be told by nobody: it's neither command nor task.
    """

    original: UUID
    attempt: int
    tenant: str
    message_id: UUID | None = None
    command_digest: bytes | None = None
    is_settled: bool = False


class Handled(msgspec.Struct, frozen=True):
    """What the inbox says of an attempt.

    Attributes:
        is_same: whether the command there is the very one; else its id was taken by another one.
        reply: its outcome in Avro binary.
    """

    original: UUID
    attempt: int
    is_same: bool
    reply: bytes


async def keep(conn: AsyncConnection[Any], originals: Sequence[Original]) -> list[Original]:
    """Keep dead letters; those that are kept already stay as they are.

    Returns:
        Those that aren't kept, since another one has their id.
    """
    digests = [original.digest for original in originals]
    await conn.execute(
        statement("insert_originals"),
        {
            "ids": Uuids.of([original.id for original in originals]),
            "queues": Texts.of([original.queue for original in originals]),
            "properties": Binaries.of([original.properties for original in originals]),
            "bodies": Binaries.of([original.body for original in originals]),
            "digests": Binaries.of(digests),
        },
    )
    ids = Uuids.of([original.id for original in originals])
    cursor = await conn.execute(statement("query_original_digests"), {"ids": ids}, binary=True)
    kept = dict(await cursor.fetchall())
    return [original for original, digest in zip(originals, digests, strict=True) if kept[original.id] != digest]


async def original_sizes(conn: AsyncConnection[Any], ids: Collection[UUID]) -> dict[UUID, int]:
    """How many bytes their bodies have, by id."""
    cursor = await conn.execute(statement("query_original_sizes"), {"ids": Uuids.of(list(ids))}, binary=True)
    return dict(await cursor.fetchall())


async def originals_of(conn: AsyncConnection[Any], ids: Collection[UUID]) -> dict[UUID, Original]:
    """Dead letters as they came, by id; those that aren't kept (any more) are missing."""
    async with conn.cursor(row_factory=args_row(Original), binary=True) as cursor:
        await cursor.execute(statement("query_originals"), {"ids": Uuids.of(list(ids))})
        return {original.id: original for original in await cursor.fetchall()}


async def record_redrives(conn: AsyncConnection[Any], redrives: Sequence[Redrive]) -> None:
    """Remember that letters are published again: before they are."""
    await conn.execute(
        statement("insert_redrives"),
        {
            "originals": Uuids.of([redrive.original for redrive in redrives]),
            "attempts": Bigints.of([redrive.attempt for redrive in redrives]),
            "tenants": Texts.of([redrive.tenant for redrive in redrives]),
            "message_ids": [redrive.message_id for redrive in redrives],
            "command_digests": [redrive.command_digest for redrive in redrives],
            "are_settled": [redrive.is_settled for redrive in redrives],
        },
    )


async def known_redrives(conn: AsyncConnection[Any], asked: Sequence[tuple[UUID, int]]) -> set[tuple[UUID, int]]:
    """Which of these letters and attempts are ours."""
    cursor = await conn.execute(statement("query_redrives"), _pairs(asked), binary=True)
    return {(original, attempt) for original, attempt in await cursor.fetchall()}


async def handled_redrives(conn: AsyncConnection[Any], limit: int) -> list[Handled]:
    """Attempts whose end wasn't known, and of which the inbox knows by now."""
    async with conn.cursor(row_factory=args_row(Handled), binary=True) as cursor:
        await cursor.execute(statement("query_handled_redrives"), {"limit": limit})
        return await cursor.fetchall()


async def mark_performed(conn: AsyncConnection[Any], original: UUID, attempt: int) -> None:
    """Remember that a letter's task was performed."""
    await conn.execute(statement("perform_redrive"), {"original": original, "attempt": attempt})


async def performed_redrives(conn: AsyncConnection[Any], limit: int) -> list[tuple[UUID, int]]:
    """Letters and attempts whose end wasn't known, and whose tasks were performed."""
    cursor = await conn.execute(statement("query_performed_redrives"), {"limit": limit}, binary=True)
    return await cursor.fetchall()


async def settle_redrives(conn: AsyncConnection[Any], settled: Sequence[tuple[UUID, int]]) -> None:
    """Remember that what came of these is known."""
    await conn.execute(statement("settle_redrives"), _pairs(settled))


async def forget(conn: AsyncConnection[Any], ids: Collection[UUID]) -> None:
    """Keep letters no longer, nor what was tried with them."""
    async with conn.transaction():
        await conn.execute(statement("delete_redrives"), {"ids": Uuids.of(list(ids))})
        await conn.execute(statement("delete_originals"), {"ids": Uuids.of(list(ids))})


async def module_names(conn: AsyncConnection[Any]) -> list[str]:
    """All modules that were ever set up here."""
    cursor = await conn.execute(statement("query_module_names"))
    return [name for (name,) in await cursor.fetchall()]


def _pairs(pairs: Sequence[tuple[UUID, int]]) -> dict[str, Any]:
    return {
        "originals": Uuids.of([original for original, _ in pairs]),
        "attempts": Bigints.of([attempt for _, attempt in pairs]),
    }
