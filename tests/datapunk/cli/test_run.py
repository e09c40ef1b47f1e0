"""`datapunk run`: starting, stopping, several workers; and that it says what is wrong."""

from __future__ import annotations

import asyncio
import signal
import socket

import httpx
import psutil
import pytest

from datapunk.client import Client
from datapunk.messages.outcome import Status
from datapunk.messages.registry import Registry
from datapunk.settings import Settings
from datapunk.telemetry.logs import FIRST_FIELDS
from tests.accounts.commands import Deposit
from tests.accounts.module import accounts
from tests.collector import collecting
from tests.command_line import CommandLine, Running
from tests.proxy import proxy_to
from tests.serving import following
from tests.working import eventually


async def deposit(settings: Settings) -> Status:
    async with Client(settings, Registry.of([accounts])) as client:
        return (await client.send(Deposit(cents=1), "a", timeout_s=20)).status


async def owning_all(running: Running) -> None:
    await running.until("shards_taken", owned=[0, 1, 2, 3])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_hands_everything_over_and_ends_with_0(
    datapunk: CommandLine, settings: Settings, number: signal.Signals
) -> None:
    async with datapunk.running("run", "accounts") as running:
        await owning_all(running)
        assert await deposit(settings) is Status.Accepted
        assert await running.stop(number) == 0
        await running.until("shards_given_back", owned=[])
    async with datapunk.running("run", "accounts") as successor:  # and it needn't wait for silence to end
        await owning_all(successor)


async def test_a_second_ctrl_c_leaves_at_once(datapunk: CommandLine, settings: Settings) -> None:
    async with (
        proxy_to(settings.broker_url) as proxy,
        datapunk.running("run", "accounts", DATAPUNK_BROKER_URL=proxy.url) as running,
    ):
        await owning_all(running)
        proxy.fall_silent()  # the broker doesn't answer any more, so handing over in good order takes its time
        running.process.send_signal(signal.SIGINT)
        await running.until("stopping")
        assert await running.stop(signal.SIGINT) == 130


async def test_with_http_the_facade_is_ready_and_nothing_is_logged_that_is_wrong(
    datapunk: CommandLine, free_port: int
) -> None:
    async with (
        datapunk.running("run", "accounts", "--http", DATAPUNK_HTTP_PORT=str(free_port)) as running,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{free_port}") as http,
    ):
        await ready(http)
        answer = await http.post(
            "/v1/commands/accounts.Deposit", json={"cents": 1}, headers={"Actor-Id": "a"}, params={"wait": 20}
        )
        assert answer.status_code == 200
        assert await running.stop() == 0
        assert [line for line in running.logged if line["level"] not in ("info", "debug")] == []


async def test_one_who_follows_events_does_not_keep_it_from_stopping(datapunk: CommandLine, free_port: int) -> None:
    async with (
        datapunk.running("run", "accounts", "--http", DATAPUNK_HTTP_PORT=str(free_port)) as running,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{free_port}") as http,
    ):
        await ready(http)
        async with following(http) as events:
            assert await running.stop() == 0
            with pytest.raises(StopAsyncIteration):
                await anext(events)


async def test_of_several_workers_one_serves_http(datapunk: CommandLine, free_port: int) -> None:
    line = ("run", "accounts", "--http", "--workers", "2")
    async with (
        datapunk.running(*line, DATAPUNK_HTTP_PORT=str(free_port)) as running,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{free_port}") as http,
    ):
        await ready(http)
        await owned_by(running, 2)
        for actor in "abcdefgh":  # some of each worker's shards
            headers = {"Actor-Id": actor}
            answer = await http.post(
                "/v1/commands/accounts.Deposit", json={"cents": 1}, headers=headers, params={"wait": 20}
            )
            assert answer.status_code == 200
        assert await running.stop() == 0


async def test_every_line_of_the_log_has_the_required_fields(datapunk: CommandLine, free_port: int) -> None:
    variables = {"DATAPUNK_HTTP_PORT": str(free_port), "DATAPUNK_LOG_LEVEL": "debug"}
    async with (
        datapunk.running("run", "accounts", "--http", **variables) as running,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{free_port}") as http,
    ):
        await ready(http)
        await http.get("/v1/schemas", headers={"Correlation-Id": "c-1"})
        (access,) = await running.until("request", path="/v1/schemas")
        await running.stop()
    assert access["correlation_id"] == "c-1"
    loggers = {line["logger"] for line in running.logged}
    assert {"uvicorn.error", "datapunk.worker", "datapunk.http.access"} <= loggers
    for line in running.logged:
        assert tuple(line)[: len(FIRST_FIELDS)] == FIRST_FIELDS
        assert line["service"] == "accounts"


async def test_its_spans_reach_the_collector_the_last_ones_too(datapunk: CommandLine, settings: Settings) -> None:
    with collecting() as collector:
        variables = {"DATAPUNK_OTLP_ENDPOINT": collector.url, "OTEL_BSP_SCHEDULE_DELAY": "600000"}  # not before the end
        async with datapunk.running("run", "accounts", **variables) as running:
            await owning_all(running)
            assert await deposit(settings) is Status.Accepted
            assert await running.stop() == 0
    names = {span.name for span in collector.spans if span.service == "accounts"}
    assert {"decide accounts.Deposit", "commit accounts.Deposit", "publish accounts.Deposited"} <= names


async def test_a_worker_that_is_killed_is_started_again(datapunk: CommandLine, settings: Settings) -> None:
    async with datapunk.running("run", "accounts", "--workers", "2") as running:
        started = await running.until("worker started", times=2)
        await owned_by(running, 2)
        psutil.Process(started[0]["pid"]).kill()
        (ended,) = await running.until("worker ended")
        assert (ended["worker"], ended["exit_status"]) == (started[0]["worker"], -signal.SIGKILL)
        await running.until("worker started", times=3)
        assert await deposit(settings) is Status.Accepted
        assert await running.stop(signal.SIGINT) == 0
        assert {line["message"] for line in running.logged if line["level"] == "error"} == {"worker ended"}


async def test_a_supervisor_that_is_killed_leaves_no_worker_behind(datapunk: CommandLine) -> None:
    async with datapunk.running("run", "accounts", "--workers", "2") as running:
        pids = [line["pid"] for line in await running.until("worker started", times=2)]
        workers = [psutil.Process(pid) for pid in pids]
        await owned_by(running, 2)
        running.process.kill()

        async def are_gone() -> bool:
            return not any(worker.is_running() for worker in workers)

        await eventually(are_gone, "workers gone")


async def test_each_worker_has_its_own_probes(datapunk: CommandLine) -> None:
    first = two_free_ports()
    async with datapunk.running("run", "accounts", "--workers", "2", DATAPUNK_PROBE_PORT=str(first)) as running:
        for port in (first, first + 1):
            async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as http:
                await ready(http)
                await eventually(lambda: exposes(http, 'shards_owned{module="accounts"} 2.0'), "half of the shards")
        assert await running.stop() == 0


async def test_until_the_servers_are_there_it_waits_and_says_for_what(
    datapunk: CommandLine, settings: Settings, free_port: int
) -> None:
    async with proxy_to(settings.database_url) as proxy:
        await proxy.disconnect()
        variables = {"DATAPUNK_DATABASE_URL": proxy.url, "DATAPUNK_PROBE_PORT": str(free_port)}
        async with (
            datapunk.running("run", "accounts", **variables) as running,
            httpx.AsyncClient(base_url=f"http://127.0.0.1:{free_port}") as http,
        ):
            (line, *_) = await running.until("waiting_for_servers")
            assert "database can't be reached" in line["detail"]
            assert "datapunk status" in line["detail"]
            await running.until("listening")
            assert (await http.get("/health/live")).status_code == 200

            async def waits_for_postgres() -> bool:
                return (await http.get("/health/startup")).json()["waiting_for"] == ["postgres"]

            await eventually(waits_for_postgres, "waiting for Postgres alone")
            await proxy.connect()
            await ready(http)
            assert await running.stop() == 0


async def test_told_to_stop_while_it_waits_it_stops(datapunk: CommandLine) -> None:
    async with datapunk.running("run", "accounts", DATAPUNK_BROKER_URL="amqp://guest:guest@127.0.0.1:1/") as running:
        (line, *_) = await running.until("waiting_for_servers")
        assert "no broker answers" in line["detail"]
        assert await running.stop() == 0


async def test_a_port_that_is_taken_is_named_with_the_remedy(datapunk: CommandLine) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        async with datapunk.running("run", "accounts", "--http", DATAPUNK_HTTP_PORT=port) as running:
            (line,) = await running.until("can't go on")
            assert line["code"] == "configuration"
            assert f"127.0.0.1:{port}" in line["detail"]
            assert "DATAPUNK_HTTP_PORT" in line["detail"]
            assert await asyncio.wait_for(running.process.wait(), 20) == 1


async def test_a_module_that_is_not_installed_is_named_with_those_that_are(datapunk: CommandLine) -> None:
    ended = await datapunk("run", "lakes")
    assert ended.status == 1
    assert "no module named 'lakes' is installed; installed: accounts, lake" in ended.err


async def ready(http: httpx.AsyncClient) -> None:
    async def look() -> bool:
        try:
            return (await http.get("/health/ready")).status_code == 200
        except httpx.TransportError:
            return False

    await eventually(look, "ready")


async def exposes(http: httpx.AsyncClient, sample: str) -> bool:
    return sample in (await http.get("/metrics")).text.splitlines()


async def owned_by(running: Running, workers: int) -> None:
    """Wait until so many workers have shards."""

    await running.until("shards_taken", times=workers)


def two_free_ports() -> int:
    """The first of two neighbours that nobody listens at."""
    while True:
        with socket.create_server(("127.0.0.1", 0)) as first:
            port = first.getsockname()[1]
            try:
                with socket.create_server(("127.0.0.1", port + 1)):
                    return port
            except OSError:
                continue
