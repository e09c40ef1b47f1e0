"""Leases in the store: what somebody commits counts only while the items are theirs, in the epoch they began.

A process that freezes may wake at any line, and a connection may break while its commit is still under way. So each
transaction checks the leases it was decided under (`Fence.check`), and whoever takes over first ends the epoch of
whoever was before (`Fence.begin_epoch`). That waits for the transactions that passed the check: what is recovered
afterwards is all there'll ever be. Source: Kleppmann, "How to do distributed locking" (2016), on fencing tokens.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import psycopg
from psycopg import AsyncConnection

from datapunk.errors import OwnershipLost
from datapunk.store.statements import statement

FENCED_OUT = "DP001"  # the SQLSTATE that the function `fence` raises, migrations/0007


@dataclass(slots=True)
class Fence:
    """The leases that something is decided under.

    Attributes:
        group: of members who share out items, as in `lake.shards`.
        owner: the member.
        epochs: the epoch of each item that the owner has taken over.
    """

    group: str
    owner: UUID
    epochs: dict[str, int] = field(default_factory=dict[str, int])

    def of(self, items: Collection[object]) -> Fence:
        """The fence around some of the items only; they're named by their text."""
        return Fence(self.group, self.owner, {str(item): self.epochs[str(item)] for item in items})

    async def begin_epoch(self, conn: AsyncConnection[Any], items: Collection[object]) -> None:
        """End the epochs of these items, and begin new ones.

        Waits for transactions that are under way in the old ones; Postgres cuts off those of a frozen process.

        Raises:
            OwnershipLost: if one of them isn't the owner's (any more).
        """
        asked = {str(item) for item in items}
        named = {"group": self.group, "owner": self.owner, "items": sorted(asked)}
        cursor = await conn.execute(statement("begin_epoch"), named)
        begun = dict(await cursor.fetchall())
        if asked != set(begun):
            raise OwnershipLost(f"another process owns {', '.join(sorted(asked - set(begun)))} of {self.group}")
        self.epochs |= begun

    async def check(self, conn: AsyncConnection[Any]) -> None:
        """Fail, and with it the transaction, unless all leases are held; else hold them until the transaction ends.

        Raises:
            OwnershipLost: at once, or in a pipeline as a `psycopg.Error` for which `is_fenced_out`.
        """
        try:
            await conn.execute(
                statement("fence"),
                {
                    "group": self.group,
                    "owner": self.owner,
                    "items": list(self.epochs),
                    "epochs": list(self.epochs.values()),
                },
            )
        except psycopg.Error as error:
            if is_fenced_out(error):
                raise OwnershipLost(str(error).splitlines()[0]) from error
            raise


def is_fenced_out(error: psycopg.Error) -> bool:
    """Whether a statement failed because a lease is somebody else's."""
    return error.sqlstate == FENCED_OUT
