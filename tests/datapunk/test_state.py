"""Snapshots: what an actor's state becomes and comes back from, and which snapshots are ignored."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from psycopg import AsyncConnection

from datapunk import Actor
from datapunk.actor_cache import ActorCache
from datapunk.state import StateCodec
from datapunk.store import read
from datapunk.store.append import append
from datapunk.store.events import SnapshotData
from tests.accounts.account import Account
from tests.accounts.module import accounts
from tests.events import REGISTRY, batch, deposits

ADDRESS = ("default", "accounts.account/a")


class Known(Actor):
    """State of several kinds."""

    name: str | None = None
    counts: tuple[int, ...] = ()
    tags: frozenset[str] = frozenset()


@given(
    st.none() | st.text(),
    st.lists(st.integers(-(2**63), 2**63 - 1)).map(tuple),
    st.frozensets(st.text()),
    st.integers(1, 2**62),
)
def test_state_comes_back_as_it_was(
    name: str | None, counts: tuple[int, ...], tags: frozenset[str], version: int
) -> None:
    codec, actor, restored = StateCodec(Known), Known("a"), Known("a")
    actor.name, actor.counts, actor.tags = name, counts, tags
    codec.restore(restored, codec.encode(actor), version)
    assert (restored.name, restored.counts, restored.tags, restored.version) == (name, counts, tags, version)


def test_another_shape_of_state_has_another_version() -> None:
    class Renamed(Actor):
        """One attribute has another name."""

        title: str | None = None
        counts: tuple[int, ...] = ()
        tags: frozenset[str] = frozenset()

    class Retyped(Actor):
        """One attribute has another type."""

        name: str | None = None
        counts: tuple[float, ...] = ()
        tags: frozenset[str] = frozenset()

    class Renumbered(Known):
        """The same attributes, meaning something else."""

        state_version = 2

    versions = {StateCodec(actor).version for actor in (Known, Renamed, Retyped, Renumbered)}
    assert len(versions) == 4


@pytest.mark.parametrize("state", [b"", b"\xff", b"\x91\x01"])
def test_bytes_that_are_no_state_are_refused_and_change_nothing(state: bytes) -> None:
    actor = Known("a")
    with pytest.raises(msgspec.DecodeError):
        StateCodec(Known).restore(actor, state, 7)
    assert (actor.name, actor.version) == (None, 0)


async def load(conn: AsyncConnection[Any]) -> Account:
    """The account as a process that starts anew loads it."""
    return (await load_many(conn, ["a"]))[0]


async def load_many(conn: AsyncConnection[Any], names: Sequence[str]) -> list[Account]:
    """These accounts as a process that starts anew loads them for a batch."""
    cache = ActorCache(accounts, REGISTRY, capacity=10, snapshot_every=100)
    return cast("list[Account]", list((await cache.take(conn, commands_to(*names))).values()))


def commands_to(*names: str) -> list[Any]:
    """As much of a command to each of these accounts as loading looks at."""
    return [
        SimpleNamespace(
            address=("default", f"accounts.account/{name}"), actor=Account, envelope=SimpleNamespace(actor_id=name)
        )
        for name in names
    ]


def snapshot(*, state_version: int | None = None, state: bytes | None = None) -> SnapshotData:
    """Of version 3, with an owner that no event tells of, so that its use shows."""
    codec, account = StateCodec(Account), Account("a")
    account.owner = "Ada"
    return SnapshotData(*ADDRESS, 3, state_version or codec.version, codec.encode(account) if state is None else state)


async def test_an_actor_is_loaded_from_its_snapshot_and_the_events_after_it(connection: AsyncConnection[Any]) -> None:
    await append(connection, deposits(5))
    await append(connection, batch(snapshots=[snapshot()]))
    account = await load(connection)
    assert (account.version, account.balance, account.owner) == (5, 5, "Ada")


@pytest.mark.parametrize("limit", ["TAIL_EVENTS", "MAX_BYTES"])
async def test_actors_of_long_tails_are_loaded_page_after_page(
    limit: str, connection: AsyncConnection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    versions = {"a": 2, "b": 5, "new": 0, "c": 3}
    for name, version in versions.items():
        await append(connection, deposits(version, account=name))
    monkeypatch.setattr(read, limit, 1)
    actors = await load_many(connection, list(versions))
    assert [(account.version, account.balance) for account in actors] == [(2, 2), (5, 5), (0, 0), (3, 3)]


async def test_a_batch_is_settled_though_all_actors_are_forgotten_meanwhile(connection: AsyncConnection[Any]) -> None:
    cache = ActorCache(accounts, REGISTRY, capacity=10, snapshot_every=100)
    cache.put_back(await cache.take(connection, commands_to("a")))
    actors = await cache.take(connection, commands_to("a"))
    cache.clear()  # as when shards are taken over
    actors[ADDRESS].version = 100
    snapshots = cache.snapshots(actors, {ADDRESS: 99}, deposits(1, first=100).events)
    assert [one.version for one in snapshots] == [100]


async def test_a_snapshot_of_an_older_shape_is_ignored(connection: AsyncConnection[Any]) -> None:
    await append(connection, deposits(5))
    await append(connection, batch(snapshots=[snapshot(state_version=1)]))
    account = await load(connection)
    assert (account.version, account.balance, account.owner) == (5, 5, None)


async def test_a_snapshot_that_can_not_be_read_is_ignored(connection: AsyncConnection[Any]) -> None:
    await append(connection, deposits(5))
    await append(connection, batch(snapshots=[snapshot(state=b"\xff")]))
    account = await load(connection)
    assert (account.version, account.balance, account.owner) == (5, 5, None)
