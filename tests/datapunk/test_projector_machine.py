"""A projection against a model in memory: whoever projects, crashes, pauses, rebuilds or comes late with a commit."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Coroutine, Sequence
from contextlib import AsyncExitStack, suppress
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, precondition, rule
from psycopg import AsyncConnection, sql

from datapunk import Recorded, Rows, projects
from datapunk.errors import OwnershipLost, ProjectionFailed
from datapunk.generation import Generation, active
from datapunk.projector import Projector
from datapunk.rebuild import rebuild
from datapunk.settings import load_settings
from datapunk.store.append import append
from datapunk.store.connection import connect
from datapunk.store.events import EventData
from datapunk.store.read import safe_position
from tests.accounts.balances import Balances
from tests.accounts.events import Deposited
from tests.events import REGISTRY, batch, deposited, event
from tests.projecting import projecting, set_paused, until_applied
from tests.state_machine import MachineOnServers, run_on_servers
from tests.working import DEADLINE_S

Deposit = tuple[str, str, int]  # tenant, account, cents
TENANTS, ACCOUNTS = ("ours", "theirs"), ("a", "b")
LATE = "late"  # the account of the writer that commits late: nobody else waits for its row
deposits = st.lists(
    st.tuples(st.sampled_from(TENANTS), st.sampled_from(ACCOUNTS), st.integers(0, 9)), min_size=1, max_size=6
)
projectors = st.sampled_from([0, 1])


class Struck(Balances):
    """Has an accident once it has written a certain event, before that is committed."""

    def __init__(self, position: int, how: str) -> None:
        self.position, self.how = position, how
        self.is_struck = asyncio.Event()

    @projects(Deposited)
    async def deposited(self, rows: Rows, events: Sequence[Recorded[Deposited]]) -> None:
        """Write; the first time, that's as far as it gets."""
        await super().deposited(rows, events)
        if self.is_struck.is_set() or all(recorded.position != self.position for recorded in events):
            return
        self.is_struck.set()
        match self.how:
            case "cut off":
                await rows.execute("select pg_terminate_backend(pg_backend_pid())")
            case "failing":
                raise ZeroDivisionError("as told")
            case _:
                await asyncio.Event().wait()  # until it's killed

    async def create(self, rows: Rows) -> None:
        """The same tables."""
        await Balances().create(rows)


class Interrupted(Exception):
    """Somebody doesn't want the rebuild any more."""


def _interrupt(done: int, total: int) -> None:
    raise Interrupted


async def _all_of(acts: Sequence[Coroutine[Any, Any, tuple[Generation, Any]]]) -> list[Any]:
    """What each led to, if it isn't an unexpected error."""
    results = await asyncio.gather(*acts, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException) and not isinstance(result, OwnershipLost):
            raise result
    return results


class Projected(MachineOnServers):
    """The tables are what the events up to the checkpoint add up to, and the checkpoint never goes back."""

    def __init__(self) -> None:
        super().__init__()
        self.conns: list[AsyncConnection[Any]] = [self.run(connect(self.settings.database_url)) for _ in range(4)]
        self.conn, self.late, *self.projecting_conns = self.conns
        self.log: dict[int, Deposit] = {}  # by position; what is committed
        self.versions: Counter[tuple[str, str]] = Counter()
        self.under_way: dict[int, Deposit] = {}  # of the late writer
        self.late_transaction: Any = None
        self.is_paused = self.has_leftovers = False
        self.reached = (0, 0)  # generation, position

    @initialize(wanted=deposits)
    def begin(self, wanted: list[Deposit]) -> None:
        self.run(self._empty())
        self.held = [self.run(active(self.conn, Balances()))] * 2
        self._append(wanted)

    async def _empty(self) -> None:
        for schema in await self._schemas():
            await self.conn.execute(sql.SQL("drop schema {} cascade").format(sql.Identifier(schema)))
        await self.conn.execute("truncate events, streams, outbox, projections, checkpoints")
        await self.conn.execute("alter sequence event_positions restart")

    async def _schemas(self) -> list[str]:
        cursor = await self.conn.execute("select nspname from pg_namespace where nspname like 'accounts%'")
        return [row[0] for row in await cursor.fetchall()]

    # --- what is written

    @rule(wanted=deposits, are_together=st.booleans(), noise=st.booleans())
    def append(self, wanted: list[Deposit], are_together: bool, noise: bool) -> None:
        for part in [wanted] if are_together else [[one] for one in wanted]:
            self._append(part)
        if noise:  # of another type
            self.versions["ours", "noise"] += 1
            self.run(append(self.conn, batch(event("noise", self.versions["ours", "noise"], tenant="ours"))))

    def _append(self, wanted: list[Deposit]) -> None:
        positions = self.run(append(self.conn, batch(*self._next(wanted)))).positions
        self.log |= dict(zip(positions, wanted, strict=True))

    def _next(self, wanted: Sequence[Deposit]) -> list[EventData]:
        events: list[EventData] = []
        for tenant, account, cents in wanted:
            self.versions[tenant, account] += 1
            events.append(deposited(account, self.versions[tenant, account], cents=cents, tenant=tenant))
        return events

    @precondition(lambda self: self.late_transaction is None)
    @rule(wanted=deposits)
    def begin_to_append(self, wanted: list[Deposit]) -> None:
        """Positions are given out, and nobody sees the events yet."""
        wanted = [(tenant, LATE, cents) for tenant, _, cents in wanted]
        self.late_transaction = self.late.transaction()
        self.run(self.late_transaction.__aenter__())
        positions = self.run(append(self.late, batch(*self._next(wanted)))).positions
        self.under_way = dict(zip(positions, wanted, strict=True))

    @precondition(lambda self: self.late_transaction is not None)
    @rule(is_given_up=st.booleans())
    def end_appending(self, is_given_up: bool) -> None:
        if is_given_up:
            self.versions.subtract((tenant, account) for tenant, account, _ in self.under_way.values())
        else:
            self.log |= self.under_way
        self._end_late(ZeroDivisionError if is_given_up else None)

    def _end_late(self, error: type[Exception] | None) -> None:
        self.run(self.late_transaction.__aexit__(error, error and error(), None))
        self.late_transaction, self.under_way = None, {}

    # --- who projects

    @rule(which=projectors, limit=st.integers(1, 5), has_looked=st.booleans())
    def apply(self, which: int, limit: int, has_looked: bool) -> None:
        """One goes on from where it looked last, whatever others did meanwhile."""
        if has_looked:
            self.held[which] = self.run(active(self.conn, Balances()))
        before, end = self.held[which], self.run(safe_position(self.conn))
        is_owner = (before.number, before.position) == self.reached and not self.is_paused
        if end > before.position and not is_owner:
            with pytest.raises(OwnershipLost):
                self.run(before.apply(self.conn, REGISTRY, limit))
            return
        after, applied = self.run(before.apply(self.conn, REGISTRY, limit))
        assert [one.position for one in applied] == self._between(before.position, end)[:limit]
        assert after.position > before.position or end == before.position
        self.held[which] = after

    @rule(wanted=deposits, limit=st.integers(1, 5), have_looked=st.booleans())
    def fight(self, wanted: list[Deposit], limit: int, have_looked: bool) -> None:
        """Both apply at once."""
        self._append(wanted)
        if have_looked:
            self.held = [self.run(active(self.conn, Balances()))] * 2
        acts = zip(self.held, self.projecting_conns, strict=True)
        results = self.run(_all_of([one.apply(conn, REGISTRY, limit) for one, conn in acts]))
        moved = 0
        for which, result in enumerate(results):
            if not isinstance(result, OwnershipLost):
                moved += result[0] != self.held[which]
                self.held[which] = result[0]
        assert moved <= 1

    @precondition(lambda self: not self.is_paused)
    @rule(projectors=st.integers(1, 2))
    def work(self, projectors: int) -> None:
        self.run(self._work(projectors))
        self.has_leftovers = False

    async def _work(self, projectors: int) -> None:
        async with AsyncExitStack() as stack:
            for _ in range(projectors):
                await stack.enter_async_context(projecting(Balances(), self.settings))
            await until_applied(self.conn, await safe_position(self.conn))

    @rule(is_at_work=st.booleans())
    def pause(self, is_at_work: bool) -> None:
        self.run(self._pause(is_at_work))
        self.is_paused = True

    async def _pause(self, is_at_work: bool) -> None:
        async with AsyncExitStack() as stack:
            if is_at_work:
                await stack.enter_async_context(projecting(Balances(), self.settings))
            await set_paused(self.conn, True)
            paused_at = (await active(self.conn, Balances())).position
        assert (await active(self.conn, Balances())).position == paused_at
        if is_at_work:  # for how long isn't known
            self.has_leftovers = len(await self._schemas()) > 1

    @precondition(lambda self: self.is_paused)
    @rule()
    def resume(self) -> None:
        self.run(set_paused(self.conn, False))
        self.is_paused = False

    # --- what goes wrong

    @precondition(lambda self: not self.is_paused)
    @rule(wanted=deposits, at=st.integers(0, 9), how=st.sampled_from(["killed", "cut off", "failing"]))
    def crash(self, wanted: list[Deposit], at: int, how: str) -> None:
        self._append(wanted)
        end = self.run(safe_position(self.conn))
        left = self._between(self.reached[1], end)
        if left:  # else all of it is behind the late writer
            self.run(self._crash(Struck(left[at % len(left)], how), end))
            self.has_leftovers = False

    async def _crash(self, projection: Struck, end: int) -> None:
        running = asyncio.create_task(Projector(projection, REGISTRY, self.settings).run(stop := asyncio.Event()))
        async with asyncio.timeout(DEADLINE_S):
            await projection.is_struck.wait()
            if projection.how == "killed":
                running.cancel()
            else:
                await until_applied(self.conn, end)
                stop.set()
            with suppress(asyncio.CancelledError):
                await running

    # --- what is rebuilt

    @rule(wanted=deposits, is_at_work=st.booleans())
    def rebuild(self, wanted: list[Deposit], is_at_work: bool) -> None:
        self._append(wanted)
        self.run(self._rebuild(is_at_work))
        self.has_leftovers = False

    async def _rebuild(self, is_at_work: bool) -> None:
        async with AsyncExitStack() as stack:
            if is_at_work:
                await stack.enter_async_context(projecting(Balances(), self.settings))
            before, end = await active(self.conn, Balances()), await safe_position(self.conn)
            after = await rebuild(Balances(), REGISTRY, self.settings)
        assert after.number == before.number + 1
        assert after.position >= max(before.position, end)

    @rule(limit=st.integers(1, 5), is_killed=st.booleans())
    def break_off_a_rebuild(self, limit: int, is_killed: bool) -> None:
        if not is_killed:
            with pytest.raises(ProjectionFailed, match="Interrupted"):
                self.run(rebuild(Balances(), REGISTRY, self.settings, _interrupt))
            self.has_leftovers = False
        elif not self.has_leftovers:  # it would take them away first
            self.run(self._leave_a_rebuild_behind(limit))
            self.has_leftovers = True

    async def _leave_a_rebuild_behind(self, limit: int) -> None:
        building = await (await active(self.conn, Balances())).begin_next(self.conn)
        await building.apply(self.conn, REGISTRY, limit)

    # --- what always holds

    def _between(self, after: int, until: int) -> list[int]:
        return sorted(position for position in self.log if after < position <= until)

    @invariant()
    def the_checkpoint_never_goes_back(self) -> None:
        serving: Generation = self.run(active(self.conn, Balances()))
        assert serving.number >= self.reached[0]
        assert serving.position >= self.reached[1]  # not even when another generation begins to serve
        self.reached = (serving.number, serving.position)

    @invariant()
    def the_tables_are_a_replay_up_to_the_checkpoint(self) -> None:
        cents: Counter[tuple[str, str]] = Counter()
        count: Counter[tuple[str, str]] = Counter()
        for position in self._between(0, self.reached[1]):
            tenant, account, amount = self.log[position]
            cents[tenant, account] += amount
            count[tenant, account] += 1
        assert self.run(self._rows()) == {account: (cents[account], count[account]) for account in count}

    async def _rows(self) -> dict[tuple[str, str], tuple[int, int]]:
        cursor = await self.conn.execute("select tenant, account, cents, deposits from accounts_balances.balances")
        return {(row[0], row[1]): (row[2], row[3]) for row in await cursor.fetchall()}

    @invariant()
    def nothing_is_left_behind(self) -> None:
        assert (len(self.run(self._schemas())) > 1) == self.has_leftovers

    def teardown(self) -> None:
        if self.late_transaction is not None:
            self._end_late(ZeroDivisionError)
        for conn in self.conns:
            self.run(conn.close())


def test_a_projection_does_what_its_model_does(database_url: str) -> None:
    settings = load_settings().model_copy(update={"database_url": database_url, "projection_batch": 2})
    run_on_servers(Projected, settings, usually=15, steps=15)
