"""Workers that come, go and die: no partition has two owners, and no message is left out."""

from __future__ import annotations

import random
import signal
import time
from collections import Counter
from pathlib import Path

import psycopg
from counting import COUNTS, counting_app
from workers import Crew, crew, eventually, running, sending
from yarl import URL

LEASE_S = 3
KEYS = [f"key-{n}" for n in range(40)]


def some(n: int, seed: int) -> list[str]:
    return random.Random(seed).choices(KEYS, k=n)


async def all_handled(workers: Crew, n: int) -> None:
    await eventually(lambda: sum(map(len, workers.handled().values())) >= n, f"{n} events were handled")


def without_gaps(workers: Crew) -> bool:
    return all(offsets == set(range(1, len(offsets) + 1)) for offsets in workers.handled().values())


async def table(broker: str, handled: int) -> dict[str, int]:
    """The table, as a worker finds it that has only the changelog, once so many events are committed."""
    app = counting_app(broker)
    async with running(app), await psycopg.AsyncConnection.connect(URL(broker).query["database"]) as connection:

        async def is_committed() -> bool:
            cursor = await connection.execute("select sum(next_offset - 1) from faust_rabbitmq.offsets")
            row = await cursor.fetchone()
            await connection.rollback()
            return row is not None and row[0] == handled

        await eventually(is_committed, f"{handled} events are committed")
        return dict(app.tables[COUNTS].items())


async def test_what_a_worker_leaves_others_take_over_and_nothing_is_counted_twice(broker: str, tmp_path: Path) -> None:
    async with crew(broker, tmp_path / "log") as workers, sending(broker) as send:
        first = await workers.start()
        await workers.settled(1)
        sent = some(600, 1)
        await send(sent)
        second = await workers.start()  # joins while the first is at work
        assert [len(owned) for owned in (await workers.settled(2)).values()] == [4, 4]
        sent += (more := some(600, 2))
        await send(more)
        await workers.stop(first)  # leaves in order
        await workers.settled(1)
        await workers.start()
        await workers.settled(2)
        sent += (more := some(600, 3))
        await send(more)
        await workers.kill(second)  # dies without a word
        await workers.settled(1)
        await all_handled(workers, len(sent))
        assert workers.owned_twice() == []
        assert without_gaps(workers)
        await workers.stop(workers.processes[-1])
        assert await table(broker, len(sent)) == Counter(sent)


async def test_a_table_that_was_being_written_when_its_worker_was_killed_is_right(broker: str, tmp_path: Path) -> None:
    chance = random.Random(1)
    async with crew(broker, tmp_path / "log") as workers, sending(broker) as send:
        sent: list[str] = []
        for _ in range(2):
            process = await workers.start()
            await workers.settled(1)
            sent += (more := some(1000, chance.randrange(10**6)))
            await send(more)
            await all_handled(workers, len(sent) - chance.randrange(1, 900))
            await workers.kill(process)
        process = await workers.start()
        await all_handled(workers, len(sent))
        await workers.stop(process)
        assert without_gaps(workers)
        assert await table(broker, len(sent)) == Counter(sent)


async def test_a_worker_that_wakes_after_its_lease_changes_nothing_and_ends(broker: str, tmp_path: Path) -> None:
    async with crew(broker, tmp_path / "log") as workers, sending(broker) as send:
        zombie = await workers.start()
        await workers.settled(1)
        sent = some(3000, 5)
        await send(sent)
        await all_handled(workers, 500)
        zombie.send_signal(signal.SIGSTOP)
        workers.ended[zombie.pid] = 0.0  # as far as the group knows
        heir = await workers.start()
        await workers.settled(1)
        await all_handled(workers, len(sent))
        zombie.send_signal(signal.SIGCONT)
        await zombie.wait()
        await workers.stop(heir)
        assert zombie.returncode != 0
        assert await table(broker, len(sent)) == Counter(sent)


async def test_workers_wait_while_the_database_is_away(broker: str, tmp_path: Path) -> None:
    url = URL(URL(broker).query["database"])
    name = url.path.removeprefix("/")
    async with (
        crew(broker, tmp_path / "log") as workers,
        sending(broker) as send,
        await psycopg.AsyncConnection.connect(str(url.with_path("/postgres")), autocommit=True) as administration,
    ):
        worker = await workers.start()
        await workers.settled(1)
        await send(sent := some(500, 8))
        await all_handled(workers, 100)
        await administration.execute(f"alter database {name} allow_connections false")
        await administration.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity where datname = %s", (name,)
        )
        await send(more := some(500, 9))
        over = time.monotonic() + 2 * LEASE_S
        await eventually(lambda: time.monotonic() > over, "the lease is over")
        left = len(sent) + len(more)
        await administration.execute(f"alter database {name} allow_connections true")
        await all_handled(workers, left)
        await workers.stop(worker)
        assert worker.returncode == 0
    assert await table(broker, left) == Counter(sent + more)


async def test_what_was_committed_isnt_read_again(broker: str, tmp_path: Path) -> None:
    async with crew(broker, tmp_path / "log") as workers, sending(broker) as send:
        await send(some(200, 1))
        await workers.stop(await _handled_by_one(workers, 200))
        await send(some(100, 2))
        await workers.stop(await _handled_by_one(workers, 300))
        events = [(line["partition"], line["offset"]) for line in workers.lines() if line["what"] == "event"]
        assert len(events) == len(set(events)) == 300


async def _handled_by_one(workers: Crew, n: int):
    process = await workers.start()
    await all_handled(workers, n)
    return process
