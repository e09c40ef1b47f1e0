"""Events, inbox and outbox together against a model in memory: whatever is done, in whatever order."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, precondition, rule
from psycopg import AsyncConnection

from datapunk.errors import DuplicateCommand, VersionConflict
from datapunk.settings import load_settings
from datapunk.store.append import AppendBatch, append
from datapunk.store.connection import connect
from datapunk.store.inbox import lookup_many, prune
from datapunk.store.outbox import delete, unconfirmed
from datapunk.store.read import read_all, read_stream
from tests.events import OWNER, entry, event
from tests.state_machine import MachineOnServers, run_on_servers

STREAMS = ("a", "b", "c")
SHARDS = range(3)
streams = st.lists(st.sampled_from(STREAMS), min_size=1, max_size=6)


class Store(MachineOnServers):
    """The store does what this model does."""

    def __init__(self) -> None:
        super().__init__()
        self.conn: AsyncConnection[Any] = self.run(connect(self.settings.database_url))
        self.log: list[tuple[int, str, int, UUID]] = []  # position, stream, version, id
        self.inbox: dict[UUID, tuple[bytes, int]] = {}  # reply, position
        self.aged: set[UUID] = set()
        self.outbox: dict[int, tuple[int, list[int]]] = {}  # shard, positions

    def versions(self) -> dict[str, int]:
        return {stream: sum(1 for row in self.log if row[1] == stream) for stream in STREAMS}

    def a_batch(self, names: list[str], command: UUID, reply: bytes) -> AppendBatch:
        """Events of the next versions, the first one's stream being the command's."""
        versions, events = self.versions(), []
        for name in names:
            versions[name] += 1
            events.append(event(name, versions[name]))
        own = [one.version for one in events if one.stream == names[0]]
        shards = [STREAMS.index(one.stream) for one in events]
        inbox = [entry(command, stream=names[0], versions=(own[0], own[-1]), reply=reply)]
        return AppendBatch("test", OWNER, events, shards, inbox)

    @initialize()
    def empty(self) -> None:
        self.run(self.conn.execute("truncate events, streams, inbox, outbox"))  # type: ignore[arg-type]
        row = self.run(self._last_position())
        self.start = row

    async def _last_position(self) -> int:
        cursor = await self.conn.execute("select coalesce(pg_sequence_last_value('event_positions'::regclass), 0)")
        row = await cursor.fetchone()
        assert row is not None
        return int(row[0])

    @rule(names=streams, reply=st.binary(max_size=4))
    def append(self, names: list[str], reply: bytes) -> None:
        command = uuid4()
        batch = self.a_batch(names, command, reply)
        result = self.run(append(self.conn, batch))
        assert result.positions == sorted(result.positions)
        assert not self.log or result.positions[0] > self.log[-1][0]
        self.log += [
            (position, one.stream, one.version, one.id)
            for position, one in zip(result.positions, batch.events, strict=True)
        ]
        own = [position for position, name in zip(result.positions, names, strict=True) if name == names[0]]
        self.inbox[command] = (reply, own[-1])
        shards: dict[int, list[int]] = {}
        for position, shard in zip(result.positions, batch.shards, strict=True):
            shards.setdefault(shard, []).append(position)
        rows = self.run(unconfirmed(self.conn, "test", SHARDS))
        fresh = {row.id: (row.shard, row.positions) for row in rows if row.id in result.outbox}
        assert dict(fresh.values()) == shards
        self.outbox |= fresh

    @precondition(lambda self: self.log)
    @rule(names=streams, data=st.data())
    def append_a_version_that_is_taken(self, names: list[str], data: st.DataObject) -> None:
        batch = self.a_batch(names, uuid4(), b"")
        _, stream, version, _ = data.draw(st.sampled_from(self.log))
        batch.events = [*batch.events, event(stream, version)]
        batch.shards = [*batch.shards, 0]
        with pytest.raises(VersionConflict):
            self.run(append(self.conn, batch))

    @precondition(lambda self: self.inbox)
    @rule(names=streams, data=st.data())
    def append_a_command_again(self, names: list[str], data: st.DataObject) -> None:
        command = data.draw(st.sampled_from(sorted(self.inbox)))
        with pytest.raises(DuplicateCommand):
            self.run(append(self.conn, self.a_batch(names, command, b"")))

    @precondition(lambda self: self.outbox)
    @rule(data=st.data(), is_with_a_batch=st.booleans())
    def confirm(self, data: st.DataObject, is_with_a_batch: bool) -> None:
        ids = data.draw(st.sets(st.sampled_from(sorted(self.outbox))))
        if is_with_a_batch:
            self.run(append(self.conn, AppendBatch("test", OWNER, confirmed=sorted(ids))))
        else:
            self.run(delete(self.conn, ids))
        for id in ids:
            del self.outbox[id]

    @precondition(lambda self: self.inbox)
    @rule(data=st.data())
    def grow_old(self, data: st.DataObject) -> None:
        ids = data.draw(st.sets(st.sampled_from(sorted(self.inbox))))
        aging = "update inbox set at = at - interval '2 days' where id = any(%s)"
        self.run(self.conn.execute(aging, (sorted(ids),)))  # type: ignore[arg-type]
        self.aged |= ids

    @rule()
    def prune(self) -> None:
        assert self.run(prune(self.conn, timedelta(days=1))) == len(self.aged)
        for id in self.aged:
            del self.inbox[id]
        self.aged.clear()

    @rule(limit=st.integers(1, 5))
    def page_through_all(self, limit: int) -> None:
        seen, after = [], self.start
        while True:
            events, reached = self.run(read_all(self.conn, after, limit))
            assert len(events) <= limit
            seen += [(one.position, one.stream, one.version, one.id) for one in events]
            if reached == after:
                break
            after = reached
        assert seen == self.log

    @invariant()
    def streams_are_as_in_the_model(self) -> None:
        for stream in STREAMS:
            events = self.run(read_stream(self.conn, "t", stream))
            wanted = [row for row in self.log if row[1] == stream]
            assert [(one.position, one.stream, one.version, one.id) for one in events] == wanted

    @invariant()
    def the_inbox_is_as_in_the_model(self) -> None:
        found = self.run(lookup_many(self.conn, [("t", id) for id in [*self.inbox, uuid4()]]))
        assert {one.id: (one.reply, one.position) for one in found} == self.inbox

    @invariant()
    def the_outbox_is_as_in_the_model(self) -> None:
        rows = self.run(unconfirmed(self.conn, "test", SHARDS))
        assert {row.id: (row.shard, row.positions) for row in rows} == self.outbox

    def teardown(self) -> None:
        self.run(self.conn.close())


def test_the_store_does_what_its_model_does(database_url: str) -> None:
    settings = load_settings().model_copy(update={"database_url": database_url})
    run_on_servers(Store, settings, usually=25, steps=25)
