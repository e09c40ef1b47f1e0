import asyncio
import socket
import time

import psycopg
import pytest

from datapunk import health as health_module
from datapunk.health import BrokerCheck, DatabaseCheck, Health
from datapunk.settings import Settings
from datapunk.telemetry import metrics


class Dependency:
    """Something that answers, or doesn't, as the test says."""

    def __init__(self):
        self.error: Exception | None = None
        self.is_silent = False
        self.is_closed = False

    async def ask(self):
        if self.is_silent:
            await asyncio.Event().wait()
        if self.error is not None:
            raise self.error

    async def close(self):
        self.is_closed = True


@pytest.fixture
def dependency():
    return Dependency()


@pytest.fixture
def health(dependency):
    return Health("test", {"thing": dependency}, timeout_s=0.05)


@pytest.fixture
def free_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


async def until(condition, limit_s=10.0):
    deadline = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < deadline, "the condition never came true"
        await asyncio.sleep(0.01)


def test_before_the_first_answer_nothing_is_ready(health):
    health.started()
    assert not health.ready().is_ok
    assert health.startup().body["waiting_for"] == ["thing"]


async def test_an_answer_makes_it_ready_once_it_is_set_up(health):
    await health.check("thing")
    assert not health.ready().is_ok
    health.started()
    assert health.ready().is_ok
    assert health.startup().is_ok


async def test_it_takes_three_failures_in_a_row_to_lose_readiness(health, dependency):
    health.started()
    await health.check("thing")
    dependency.error = ConnectionError("gone")
    await health.check("thing")
    await health.check("thing")
    assert health.ready().is_ok
    await health.check("thing")

    report = health.ready()
    assert not report.is_ok
    assert report.body["dependencies"]["thing"]["error"] == "ConnectionError: gone"
    assert health.startup().is_ok, "having started isn't undone"
    assert b'dependency_up{dependency="thing",service="test"} 0.0' in metrics.exposition()


async def test_an_answer_in_between_starts_the_count_again(health, dependency):
    health.started()
    await health.check("thing")
    for error in (ConnectionError(), ConnectionError(), None, ConnectionError(), ConnectionError()):
        dependency.error = error
        await health.check("thing")
    assert health.ready().is_ok


async def test_one_answer_wins_readiness_back(health, dependency):
    health.started()
    for error in (None, ConnectionError(), ConnectionError(), ConnectionError(), None):
        dependency.error = error
        await health.check("thing")
    assert health.ready().is_ok


async def test_silence_is_a_failure_after_the_timeout(health, dependency):
    dependency.is_silent = True
    state = await health.check("thing")
    assert state.error == "no answer in 0.05 s"


async def test_dependencies_are_asked_again_and_again_and_let_go_at_the_end(dependency):
    health = Health("test", {"thing": dependency}, interval_s=0.01)
    async with health.checking():
        health.started()
        await until(lambda: health.ready().is_ok)
        dependency.error = ConnectionError("gone")
        await until(lambda: not health.ready().is_ok)
        dependency.error = None
        await until(lambda: health.ready().is_ok)
    assert dependency.is_closed


async def test_a_loop_that_does_not_turn_is_not_live(health, monkeypatch):
    assert health.live().is_ok
    now = time.monotonic()
    monkeypatch.setattr(health_module.time, "monotonic", lambda: now + 60)
    assert not health.live().is_ok


async def test_a_process_that_lost_a_vital_task_is_not_live(health):
    task = asyncio.create_task(asyncio.Event().wait())
    health.watch("shards", task)
    assert health.live().is_ok
    task.cancel()
    await asyncio.wait([task])
    assert health.live().body["ended"] == ["shards"]
    assert not health.live().is_ok


async def test_postgres_answers_and_answers_again_after_its_connection_broke(database_url):
    check = DatabaseCheck(Settings(database_url=database_url))
    await check.ask()
    async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as other:
        await other.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    with pytest.raises(psycopg.Error):
        await check.ask()
    await check.ask()
    await check.close()


async def test_the_broker_answers(broker_url):
    check = BrokerCheck(Settings(broker_url=broker_url))
    await check.ask()
    await check.ask()
    await check.close()
    await check.ask()
    await check.close()


async def test_servers_that_are_not_there_are_told(free_port):
    health = Health(
        "test",
        {
            "postgres": DatabaseCheck(Settings(database_url=f"postgresql://postgres@127.0.0.1:{free_port}/x")),
            "broker": BrokerCheck(Settings(broker_url=f"amqp://guest:guest@127.0.0.1:{free_port}/")),
        },
    )
    for name in ("postgres", "broker"):
        state = await health.check(name)
        assert not state.is_up
        assert state.error
        assert "guest:guest" not in state.error
