"""Membership on a real Postgres: one owner at a time, whoever comes, goes, freezes or dies."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from psycopg import AsyncConnection

from datapunk.membership import Membership
from datapunk.settings import Settings, load_settings
from datapunk.store.append import append
from tests.events import batch, event
from tests.proxy import proxy_to
from tests.working import eventually

GROUP = "test.items"
ITEMS = [str(number) for number in range(6)]


@pytest.fixture
def settings(database_url: str) -> Settings:
    """Impatient, so that the dead are missed soon."""
    return load_settings().model_copy(
        update={"database_url": database_url, "heartbeat_s": 0.05, "member_timeout_s": 2.0}
    )


class Holder:
    """Follows one membership as an owner does; `held` tells who has what, over all holders of a test."""

    def __init__(self, settings: Settings, held: dict[str, Holder], items: list[str] = ITEMS) -> None:
        self.membership = Membership(settings, GROUP, items)
        self.items: set[str] = set()
        self.losses = 0
        self._held = held
        self._following: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Holder:
        await self.membership.__aenter__()
        self._following = asyncio.create_task(self._follow())
        return self

    async def __aexit__(self, *unused: object) -> None:
        assert self._following is not None
        self._following.cancel()
        (result,) = await asyncio.gather(self._following, return_exceptions=True)
        self._drop(set(self.items))
        await self.membership.leave()
        assert isinstance(result, asyncio.CancelledError), result

    async def _follow(self) -> None:
        async for change in self.membership.changes():
            if change.lost:
                self.losses += 1
                self._drop(set(self.items))
            for item in sorted(change.release & self.items):
                self._drop({item})
                await self.membership.release(item)
            for item in change.gained:
                assert item not in self._held, f"{item} has an owner already"
                self._held[item] = self
            self.items |= change.gained

    def _drop(self, items: set[str]) -> None:
        for item in items:
            assert self._held.pop(item) is self
        self.items -= items


def all_held(held: dict[str, Holder], *holders: Holder) -> Callable[[], Any]:
    """Whether every item is held, evenly, by these."""

    async def look() -> bool:
        sizes = [len(holder.items) for holder in holders]
        return len(held) == len(ITEMS) == sum(sizes) and max(sizes) - min(sizes) <= 1

    return look


async def test_members_that_come_and_go_never_own_one_item_at_the_same_time(settings: Settings) -> None:
    held: dict[str, Holder] = {}
    async with Holder(settings, held) as first:
        await eventually(all_held(held, first), "all items with one")
        async with Holder(settings, held) as second, Holder(settings, held) as third:
            await eventually(all_held(held, first, second, third), "all items with three")
        await eventually(all_held(held, first), "all items back")
        assert first.losses == 0
    assert held == {}


async def test_who_leaves_hands_over_at_once(settings: Settings) -> None:
    patient = settings.model_copy(update={"member_timeout_s": 3600.0})  # waiting for silence would fail
    held: dict[str, Holder] = {}
    async with Holder(patient, held) as stays:
        async with Holder(patient, held) as goes:
            await eventually(all_held(held, stays, goes), "all items with both")
        await eventually(all_held(held, stays), "all items with the one who stays")


async def test_who_stands_back_leaves_everything_to_others_until_it_follows_again(settings: Settings) -> None:
    held: dict[str, Holder] = {}
    async with Membership(settings, GROUP, ITEMS) as unable:
        await anext(unable.changes())
        async with Holder(settings, held) as able:
            await unable.stand_back()
            await eventually(all_held(held, able), "all items with the one who can do its part")
            again = unable.changes()
            assert (await asyncio.wait_for(anext(again), 30)).gained


async def test_a_member_that_begins_while_the_database_is_away_joins_later(settings: Settings) -> None:
    async with proxy_to(settings.database_url) as proxy:
        await proxy.disconnect()
        away = settings.model_copy(update={"database_url": proxy.url})
        async with Membership(away, GROUP, ITEMS) as early:
            await proxy.connect()
            assert (await asyncio.wait_for(anext(early.changes()), 30)).gained == set(ITEMS)


@asynccontextmanager
async def member_process(settings: Settings) -> AsyncIterator[asyncio.subprocess.Process]:
    """A member that can be frozen and killed."""
    names = ("database_url", "heartbeat_s", "member_timeout_s")
    variables = {f"DATAPUNK_{name.upper()}": str(getattr(settings, name)) for name in names}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "tests.member_main", GROUP, *ITEMS),
        env={**os.environ, **variables},
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def says(process: asyncio.subprocess.Process) -> str:
    """Its next line."""
    assert process.stdout is not None
    return (await asyncio.wait_for(process.stdout.readline(), 30)).decode().strip()


async def test_the_items_of_a_killed_member_move_after_its_silence(settings: Settings) -> None:
    held: dict[str, Holder] = {}
    async with member_process(settings) as doomed:
        assert await says(doomed) == f"gained {' '.join(ITEMS)}"
        doomed.kill()
        async with Holder(settings, held) as heir:
            await eventually(all_held(held, heir), "all items with the heir")


async def test_a_frozen_member_that_wakes_learns_its_loss_and_can_not_write(
    settings: Settings, connection: AsyncConnection[Any]
) -> None:
    held: dict[str, Holder] = {}
    async with member_process(settings) as zombie:
        assert await says(zombie) == f"gained {' '.join(ITEMS)}"
        zombie.send_signal(signal.SIGSTOP)
        async with Holder(settings, held) as heir:
            await eventually(all_held(held, heir), "all items with the heir")
            await append(connection, batch(event("s", 1)))
            zombie.send_signal(signal.SIGCONT)
            assert await says(zombie) == "lost"
            assert await says(zombie) == "conflict"


async def test_a_member_is_struck_off_by_the_database_clock_alone(
    settings: Settings, connection: AsyncConnection[Any]
) -> None:
    held: dict[str, Holder] = {}
    never = settings.model_copy(update={"heartbeat_s": 3600.0, "member_timeout_s": 3600.0})
    async with Membership(never, GROUP, ITEMS) as silent:
        await silent.changes().__anext__()
        async with Holder(settings.model_copy(update={"member_timeout_s": 3600.0}), held) as heir:
            await connection.execute(
                "update members set beat_at = now() - interval '2 hours' where id = %s", (silent.id,)
            )
            await eventually(all_held(held, heir), "all items with the heir")


async def test_a_heartbeat_under_way_keeps_a_member_alive(settings: Settings, connection: AsyncConnection[Any]) -> None:
    """Who would strike it off waits for the heartbeat's row lock, and then sees that it's alive."""
    never = settings.model_copy(update={"heartbeat_s": 3600.0})

    async def is_somebody_waiting() -> bool:
        await connection.execute("select pg_stat_clear_snapshot()")
        cursor = await connection.execute(
            "select from pg_stat_activity where wait_event_type = 'Lock' and query like 'delete from members%'"
            " and datname = current_database()"
        )
        return cursor.rowcount > 0

    async def does_somebody_own() -> bool:
        cursor = await connection.execute("select from leases where owner is not null")
        return cursor.rowcount > 0

    async with Membership(never, GROUP, ITEMS) as slow:
        await eventually(does_somebody_own, "the slow member's leases")
        await connection.execute("update members set beat_at = now() - interval '1 minute'")
        async with connection.transaction():
            await connection.execute("update members set beat_at = now() + interval '1 hour'")
            other = await Membership(settings, GROUP, ITEMS).__aenter__()
            await eventually(is_somebody_waiting, "the other waits to strike it off")

        async def has_beaten_again() -> bool:
            cursor = await connection.execute("select from members where id = %s and beat_at > joined_at", (other.id,))
            return cursor.rowcount > 0

        await eventually(has_beaten_again, "the other's next heartbeat")
        cursor = await connection.execute("select count(*) from leases where owner = %s", (slow.id,))
        assert await cursor.fetchone() == (len(ITEMS),)
        await other.leave()


async def test_a_member_survives_a_database_that_went_away_and_came_back(
    settings: Settings, connection: AsyncConnection[Any]
) -> None:
    held: dict[str, Holder] = {}
    async with Holder(settings, held) as holder:
        await eventually(all_held(held, holder), "all items")
        await _cut(connection)
        await eventually(all_held(held, holder), "all items")
        cursor = await connection.execute("select beat_at from members")
        before = await cursor.fetchone()

        async def beats_again() -> bool:
            cursor = await connection.execute("select beat_at from members")
            return await cursor.fetchone() != before

        await eventually(beats_again, "a new heartbeat")
        assert holder.losses == 0


async def test_an_owner_whose_database_falls_silent_counts_itself_as_dead(
    settings: Settings, connection: AsyncConnection[Any]
) -> None:
    held: dict[str, Holder] = {}
    async with Holder(settings, held) as holder:
        await eventually(all_held(held, holder), "all items")
        async with connection.transaction():
            await connection.execute("lock table members in access exclusive mode")  # no answer, no error

            async def lost() -> bool:
                return holder.losses > 0

            await eventually(lost, "the loss")
        await eventually(all_held(held, holder), "all items again")


async def test_a_release_that_the_database_missed_is_made_up_for(
    settings: Settings, connection: AsyncConnection[Any]
) -> None:
    async with Membership(settings, GROUP, ["item"]) as membership:
        await anext(membership.changes())
        async with connection.transaction():
            await connection.execute("lock table leases in exclusive mode")
            releasing = asyncio.create_task(membership.release("item"))

            async def is_cut_off() -> bool:
                await connection.execute("select pg_stat_clear_snapshot()")
                cursor = await connection.execute(
                    "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database()"
                    " and wait_event_type = 'Lock' and query like 'update leases set owner = null%'"
                )
                return cursor.rowcount > 0

            await eventually(is_cut_off, "the release waits, and is cut off")
            await releasing

        async def is_free() -> bool:
            cursor = await connection.execute("select owner from leases where item = 'item'")
            return await cursor.fetchone() == (None,)

        await eventually(is_free, "the lease free")


async def _cut(connection: AsyncConnection[Any]) -> None:
    await connection.execute(
        "select pg_terminate_backend(pid) from pg_stat_activity"
        " where datname = current_database() and pid <> pg_backend_pid()"
    )
