"""The inbox: a command sent again gets the reply it got before, until it's forgotten."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from psycopg import AsyncConnection

from datapunk.store import inbox
from datapunk.store.append import append
from datapunk.store.read import events_of_command
from tests.events import batch, entry, event

DAY = timedelta(days=1)


async def test_a_processed_command_comes_back_with_its_reply_and_the_position_of_its_last_event(
    connection: AsyncConnection[Any],
) -> None:
    id = uuid4()
    events = (event("s", 1), event("s", 2))
    result = await append(connection, batch(*events, inbox=[entry(id, versions=(1, 2), reply=b"\x00reply")]))
    (found,) = await inbox.lookup_many(connection, [("t", id), ("t", uuid4())])
    assert (found.id, found.body_hash, found.reply) == (id, b"hash", b"\x00reply")
    assert (found.position, found.at) == (result.positions[1], result.at)


async def test_a_command_without_events_has_no_position(connection: AsyncConnection[Any]) -> None:
    id = uuid4()
    await append(connection, batch(inbox=[entry(id)]))
    (found,) = await inbox.lookup_many(connection, [("t", id)])
    assert (found.position, found.first_version) == (0, None)


async def test_the_events_of_a_command_are_found_by_its_id(connection: AsyncConnection[Any]) -> None:
    id = uuid4()
    await append(connection, batch(event("s", 1)))
    await append(connection, batch(event("s", 2), event("s", 3), inbox=[entry(id, versions=(2, 3))]))
    await append(connection, batch(event("s", 4)))
    assert [one.version for one in await events_of_command(connection, "t", id)] == [2, 3]


async def test_pruning_forgets_old_commands_and_keeps_the_others(
    connection: AsyncConnection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inbox, "PRUNE_BATCH", 2)
    old, young = [uuid4() for _ in range(5)], uuid4()
    await append(connection, batch(event("s", 1), inbox=[entry(id) for id in [*old, young]]))
    await connection.execute("update inbox set at = at - interval '2 days' where id = any(%s)", (old,))
    assert await inbox.prune(connection, DAY) == 5
    found = await inbox.lookup_many(connection, [("t", id) for id in [*old, young]])
    assert [one.id for one in found] == [young]


async def test_two_tenants_have_one_id_each_for_itself(connection: AsyncConnection[Any]) -> None:
    id = uuid4()
    ours, theirs = entry(id, versions=(1, 1), reply=b"ours"), entry(id, tenant="u", versions=(1, 1), reply=b"theirs")
    await append(connection, batch(event("s", 1), inbox=[ours]))
    await append(connection, batch(event("s", 1, tenant="u"), inbox=[theirs]))
    for tenant, reply in (("t", b"ours"), ("u", b"theirs")):
        assert [one.reply for one in await inbox.lookup_many(connection, [(tenant, id)])] == [reply]
        assert [one.tenant for one in await events_of_command(connection, tenant, id)] == [tenant]
    assert await inbox.lookup_many(connection, [("v", id)]) == []


async def test_pruning_forgets_one_tenants_command_and_keeps_the_others_of_that_id(
    connection: AsyncConnection[Any],
) -> None:
    id = uuid4()
    await append(connection, batch(inbox=[entry(id), entry(id, tenant="u")]))
    await connection.execute("update inbox set at = at - interval '2 days' where tenant = 'u'")
    assert await inbox.prune(connection, DAY) == 1
    assert [one.tenant for one in await inbox.lookup_many(connection, [("t", id), ("u", id)])] == ["t"]
