import asyncio
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from uuid import uuid4

import psycopg
import pytest
from psycopg_pool import AsyncConnectionPool

from datapunk.http import tail as tail_module
from datapunk.http.tail import EventTail
from datapunk.messages.registry import Registry
from datapunk.store.append import AppendBatch, append
from datapunk.store.connection import connect
from datapunk.store.events import EventData
from tests.working import DEADLINE_S


def everything(event):
    return True


async def until(condition):
    async with asyncio.timeout(DEADLINE_S):
        while not condition():  # noqa: ASYNC110  # there's nothing to be told by
            await asyncio.sleep(0.005)


def event(stream, version, type="t.Happened", data=b"x", tenant="default"):
    return EventData(
        tenant=tenant,
        stream=stream,
        version=version,
        type=type,
        id=uuid4(),
        schema="0" * 16,
        data=data,
        causation=uuid4(),
        metadata={},
    )


@pytest.fixture
async def pool(database_url):
    async with AsyncConnectionPool(database_url, max_size=4, open=False, kwargs={"autocommit": True}) as pool:
        yield pool


@pytest.fixture
async def tail(pool):
    tail = EventTail(pool, Registry(), idle_s=0.3)
    yield tail
    await tail.close()


@pytest.fixture
async def write(database_url):
    async with await connect(database_url, writer=True) as conn:

        async def write(*events):
            batch = AppendBatch(module="t", owner=uuid4(), events=events, shards=[0] * len(events))
            return (await append(conn, batch)).positions

        yield write


@asynccontextmanager
async def following(tail, after, matches=everything):
    """An asynchronous function that returns the next event, leaving out what is told when idle."""
    async with aclosing(tail.follow(matches, after)) as events:

        async def next_event():
            async with asyncio.timeout(DEADLINE_S):
                while True:
                    event = await anext(events)
                    if not isinstance(event, int):
                        return event

        yield next_event


async def test_it_begins_after_a_position_and_goes_on_live(tail, write):
    first, second = await write(event("t.a/1", 1), event("t.a/1", 2))
    async with following(tail, after=first) as next_event:
        assert (await next_event()).position == second
        (third,) = await write(event("t.a/1", 3))
        assert (await next_event()).position == third


async def test_without_a_position_it_begins_now(tail, write):
    await write(event("t.a/1", 1))
    async with following(tail, after=None) as next_event:
        coming = asyncio.create_task(next_event())
        await until(lambda: tail._listeners)
        (second,) = await write(event("t.a/1", 2))
        assert (await coming).position == second


async def test_only_what_matches_is_heard(tail, write):
    async with following(tail, 0, lambda event: event.type == "t.Wanted") as next_event:
        positions = await write(event("t.a/1", 1), event("t.a/1", 2, "t.Wanted"), event("t.a/1", 3))
        assert (await next_event()).position == positions[1]


async def test_many_events_written_meanwhile_arrive_once_each_and_in_order(tail, write):
    total, batch = 3000, 30

    async def write_all():
        for start in range(0, total, batch):
            await write(*(event(f"t.a/{start}", version) for version in range(1, batch + 1)))

    async def read_all(after):
        async with following(tail, after) as next_event:
            return [(await next_event()).position for _ in range(total)]

    writing = asyncio.create_task(write_all())
    early, other = await asyncio.gather(read_all(0), read_all(0))
    await writing
    assert early == sorted(set(early))
    assert early == other == await read_all(0)


async def test_a_slow_listener_is_bounded_and_still_misses_nothing(tail, write, monkeypatch):
    monkeypatch.setattr(tail_module, "MOST_WAITING_EVENTS", 10)
    async with following(tail, after=0) as next_event, following(tail, after=0) as other:
        got = [(await write(event("t.a/1", 1)), (await next_event()).position)[1]]
        assert (await other()).position == got[0]
        listeners = list(tail._listeners)
        written = await write(*(event("t.a/1", version) for version in range(2, 102)))
        for _ in written:  # the other one keeps up, so the shared reader has passed all of these
            await other()
        assert all(len(listener._waiting) <= 10 for listener in listeners)
        got += [(await next_event()).position for _ in written]
        assert got[1:] == list(written)
        (last,) = await write(event("t.a/1", 102))
        assert (await next_event()).position == last


async def test_pages_get_shorter_when_events_are_large(tail, write, monkeypatch):
    monkeypatch.setattr(tail_module, "PAGE_BYTES", 1000)
    await write(*(event("t.a/1", version, data=b"x" * 500) for version in range(1, 1001)))
    async with following(tail, after=0) as next_event:
        assert [(await next_event()).version for _ in range(1000)] == list(range(1, 1001))


async def test_those_who_catch_up_leave_connections_to_others(tail, pool, write, monkeypatch):
    reading, go = 0, asyncio.Event()
    read_all = tail_module.read_all

    async def read_slowly(*arguments, **how):
        nonlocal reading
        reading += 1
        await go.wait()
        return await read_all(*arguments, **how)

    monkeypatch.setattr(tail_module, "read_all", read_slowly)
    (position,) = await write(event("t.a/1", 1))
    async with AsyncExitStack() as stack:
        listeners = [await stack.enter_async_context(following(tail, after=0)) for _ in range(8)]
        coming = [asyncio.create_task(next_event()) for next_event in listeners]
        await until(lambda: reading >= 2)
        async with pool.connection(timeout=DEADLINE_S):  # as for an outcome
            go.set()
            assert [(await each).position for each in coming] == [position] * 8


async def test_only_the_tenants_events_are_read_to_catch_up(tail, write):
    await write(*(event(f"t.a/{n}", 1, tenant="other") for n in range(3)))
    (position,) = await write(event("t.a/1", 1))
    async with aclosing(tail.follow(everything, 0, tenant="default")) as events:
        async with asyncio.timeout(DEADLINE_S):
            assert (await anext(events)).position == position


async def test_an_idle_listener_hears_the_position(tail, write):
    (position,) = await write(event("t.a/1", 1))
    async with aclosing(tail.follow(lambda event: False, 0)) as events:
        async with asyncio.timeout(DEADLINE_S):
            assert await anext(events) == position


async def test_the_shared_reader_rests_while_nobody_listens(tail, write):
    async with following(tail, after=0) as next_event:
        await write(event("t.a/1", 1))
        await next_event()
        assert tail._reader is not None
    assert tail._reader is None


async def test_closing_ends_all_following(tail, write):
    await write(event("t.a/1", 1))
    heard = []

    async def follow():
        async for each in tail.follow(everything, 0):
            heard.append(each)

    following = asyncio.create_task(follow())
    async with asyncio.timeout(DEADLINE_S):
        await until(lambda: heard)
        await tail.close()
        await following


async def test_it_goes_on_after_the_connections_broke(tail, write, database_url):
    async with following(tail, after=0) as next_event:
        await write(event("t.a/1", 1))
        await next_event()
        async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as other:
            await other.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
                " AND pid <> pg_backend_pid() AND query LIKE '%%safe_position%%'"
            )
        await write(event("t.a/1", 2))
        assert (await next_event()).version == 2
