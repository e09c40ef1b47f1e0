"""Who owns the shards just now."""

from __future__ import annotations

from datapunk.settings import Settings
from datapunk.store.connection import connect
from tests.working import eventually

MOVED_WITHIN_S = 120.0  # who hears nothing of the broker notices after 20 s, and tries again for 10 s


async def owned_by(count: int, settings: Settings) -> None:
    """Wait until so many processes share them."""

    async def are_so_many() -> bool:
        async with await connect(settings.database_url) as conn:
            cursor = await conn.execute(
                "select count(distinct owner) from leases where group_name = 'accounts.shards' and owner is not null"
            )
            return await cursor.fetchone() == (count,)

    await eventually(are_so_many, f"owners of the shards: {count}", MOVED_WITHIN_S)
