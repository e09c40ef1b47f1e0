"""A process that is a member of a group, and says on standard output what it gains and loses.

Once it has lost everything it still writes the next event of a stream, as an owner that doesn't know yet would,
and says what came of it.
"""

from __future__ import annotations

import asyncio
import sys

from datapunk.errors import VersionConflict
from datapunk.membership import Membership
from datapunk.settings import load_settings
from datapunk.store.append import append
from datapunk.store.connection import connect
from tests.events import batch, event


async def main(group: str, items: list[str]) -> None:
    """Follow what changes."""
    settings = load_settings()
    async with Membership(settings, group, items) as membership, await connect(settings.database_url) as conn:
        async for change in membership.changes():
            if not change.lost:
                print("gained", *sorted(change.gained), flush=True)
                continue
            print("lost", flush=True)
            try:
                await append(conn, batch(event("s", 1)))
            except VersionConflict:
                print("conflict", flush=True)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2:]))
