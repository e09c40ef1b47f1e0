"""Health and metrics over HTTP: what they say, and that readiness follows the dependencies."""

from __future__ import annotations

import asyncio

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from datapunk.health import BrokerCheck, DatabaseCheck, Health
from datapunk.http.server import serve_probes
from datapunk.settings import Settings
from datapunk.worker import prepare
from tests.accounts.module import accounts
from tests.proxy import proxy_to
from tests.serving import serving
from tests.working import eventually


async def test_a_running_facade_is_live_ready_and_started(http: httpx.AsyncClient) -> None:
    for probe, word in (("live", "live"), ("ready", "ready"), ("startup", "started")):
        answer = await http.get(f"/health/{probe}")
        assert (answer.status_code, answer.json()["status"]) == (200, word)
    assert set((await http.get("/health/ready")).json()["dependencies"]) == {"postgres", "broker"}


@pytest.mark.parametrize("name", ["database_url", "broker_url"])
async def test_a_dependency_that_goes_takes_readiness_with_it_and_brings_it_back(settings: Settings, name: str) -> None:
    await prepare([accounts], settings)
    async with proxy_to(getattr(settings, name)) as proxy:
        behind = settings.model_copy(update={name: proxy.url})
        checks = {"postgres": DatabaseCheck(behind), "broker": BrokerCheck(behind)}
        health = Health("http", checks, interval_s=0.05, timeout_s=1.0)
        async with serving([accounts], settings, health=health) as http:

            async def ready(status: int) -> httpx.Response | None:
                answer = await http.get("/health/ready")
                return answer if answer.status_code == status else None

            await proxy.disconnect()
            away = await eventually(lambda: ready(503), "not ready")
            failing = [each for each in away.json()["dependencies"].values() if not each["up"]]
            assert len(failing) == 1
            assert failing[0]["failures"] >= 3
            assert failing[0]["error"]
            assert (await http.get("/health/live")).status_code == 200
            assert (await http.get("/health/startup")).status_code == 200
            await proxy.connect()
            await eventually(lambda: ready(200), "ready again")


async def test_until_all_is_prepared_it_is_not_ready_and_says_so_to_callers(settings: Settings) -> None:
    prepared = asyncio.Event()
    async with serving([accounts], settings, prepared=prepared, is_reachable=False) as http:
        assert (await http.get("/health/live")).status_code == 200
        assert (await http.get("/health/startup")).status_code == 503
        assert (await http.get("/health/ready")).status_code == 503
        for path in ("/v1/events", "/v1/schemas", "/v1/queries/accounts.GetBalance?account=a"):
            answer = await http.get(path)
            assert (answer.status_code, answer.json()["code"]) == (503, "starting")
            assert int(answer.headers["retry-after"]) > 0
        await prepare([accounts], settings)
        prepared.set()

        async def is_ready() -> bool:
            return (await http.get("/health/ready")).status_code == 200

        await eventually(is_ready, "ready")


async def test_servers_that_are_away_are_a_503_with_the_reason(settings: Settings) -> None:
    nowhere = settings.model_copy(
        update={
            "database_url": "postgresql://postgres@127.0.0.1:1/x",
            "broker_url": "amqp://guest:guest@127.0.0.1:1/",
        }
    )
    async with serving([accounts], nowhere, is_reachable=False) as http:
        sent = await http.post("/v1/commands/accounts.Deposit", json={"cents": 1}, headers={"Actor-Id": "a"})
        assert (sent.status_code, sent.json()["code"]) == (503, "connection_lost")
        found = await http.get("/v1/commands/01936d5e-8f60-7c3a-9b1e-3f2a5b6c7d8e")
        assert (found.status_code, found.json()["code"]) == (503, "database_away")
        assert (await http.get("/health/live")).status_code == 200


async def test_requests_are_measured_by_service_endpoint_and_status(http: httpx.AsyncClient) -> None:
    await http.get("/v1/schemas")
    await http.get("/nowhere")
    answer = await http.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    samples = {
        (sample.name, *(value for _, value in sorted(sample.labels.items())))
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }
    assert ("request_duration_seconds_count", "/v1/schemas", "http", "200") in samples
    assert ("request_duration_seconds_count", "none", "http", "404") in samples
    assert ("error_rate_total", "not_found", "http") in samples


async def test_a_process_without_the_facade_serves_its_probes_alone(settings: Settings) -> None:
    stop, listening = asyncio.Event(), asyncio.get_running_loop().create_future()
    health = Health("accounts", {"postgres": DatabaseCheck(settings)})
    health.started()
    async with health.checking():
        running = asyncio.create_task(serve_probes(health, "127.0.0.1", 0, stop, listening=listening))
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{await listening}") as http:

            async def is_ready() -> bool:
                return (await http.get("/health/ready")).status_code == 200

            await eventually(is_ready, "ready")
            assert "shards_owned" in (await http.get("/metrics")).text
            assert (await http.get("/v1/schemas")).status_code == 404
        stop.set()
        await running
