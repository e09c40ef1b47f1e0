"""What is kept of dead letters for ever, and what isn't."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
from psycopg import AsyncConnection

from actors.nexus.module import nexus
from datapunk.messages.registry import Registry
from datapunk.module import Module
from datapunk.settings import Settings
from datapunk.temporal.connection import connect
from datapunk.testing import Platform
from schemas.nexus.commands import DiscardDeadLetter, EditDeadLetter, RedriveDeadLetter
from schemas.nexus.types import DeadLetterState
from tests.accounts.module import accounts
from tests.actors.nexus.letters import Letters
from tests.raw import raw_client
from tests.working import eventually
from workflows.nexus.retention import NIGHTLY


@pytest.fixture
def modules() -> list[Module]:
    return [accounts, nexus]


async def test_originals_of_old_letters_that_are_closed_are_forgotten_and_no_others(
    platform_with_workflows: Platform, settings_with_temporal: Settings, connection: AsyncConnection[Any]
) -> None:
    client = platform_with_workflows.client
    async with raw_client(settings_with_temporal) as raw:
        letters = Letters(client, raw)
        for n in range(4):
            await raw.deposit(f"a{n}", 1, body=b"?")
        resolved, discarded, recent, still_open = (each.id for each in await letters.parked(4))
        await client.send(EditDeadLetter(body=b'{"cents":5}', content_type="application/avro+json"), str(resolved))
        await client.send(RedriveDeadLetter(), str(resolved))
        await client.send(DiscardDeadLetter(), str(discarded))
        await client.send(DiscardDeadLetter(), str(recent))
        await letters.reaches(resolved, DeadLetterState.Resolved)
        for id in (discarded, recent):
            await letters.reaches(id, DeadLetterState.Discarded)
        await connection.execute(
            "update nexus_dead_letters.dead_letters set updated_at = now() - interval '91 days' where id <> %s",
            [recent],
        )
        temporal = await connect(settings_with_temporal, Registry.of([nexus]))
        await temporal.get_schedule_handle(f"nexus.{NIGHTLY.id}").trigger()

        async def kept() -> set[UUID]:
            cursor = await connection.execute("select id from originals union select original from redrives")
            return {id for (id,) in await cursor.fetchall()}

        async def is_done() -> bool:
            return await kept() == {recent, still_open}

        await eventually(is_done, "what is old and closed is forgotten")
        found = await letters.get(resolved)
        assert (found.body, found.properties, len(found.history)) == (b"", "null", 4)
