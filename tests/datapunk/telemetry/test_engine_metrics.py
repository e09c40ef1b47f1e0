"""The metrics of design and dashboards move when there is something to tell."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from prometheus_client.parser import text_string_to_metric_families

from datapunk.client import Client
from datapunk.errors import QueryFailed
from datapunk.messages.outcome import Status
from datapunk.settings import Settings
from datapunk.telemetry import metrics
from tests.accounts.commands import Deposit, Misbehave
from tests.accounts.module import accounts
from tests.accounts.queries import GetBalance
from tests.working import eventually, working

BATCH = "shard_batch_seconds_count"
MOVING = [
    ("commands_handled_total", {"module": "accounts", "type": "accounts.Deposit", "outcome": "accepted"}),
    ("command_duration_seconds_count", {"module": "accounts"}),
    ("shard_batch_size_count", {"module": "accounts"}),
    *((BATCH, {"module": "accounts", "stage": stage}) for stage in ("load", "decide", "commit", "publish", "reply")),
    ("events_published_total", {"module": "accounts"}),
    ("events_projected_total", {"projection": "accounts.balances"}),
    ("projection_batch_seconds_count", {"projection": "accounts.balances"}),
    (
        "request_duration_seconds_count",
        {"service": "accounts.queries", "endpoint": "accounts.GetBalance", "status": "ok"},
    ),
]


def sample(name: str, **labels: str) -> float | None:
    """A sample's value; None if there's none with these labels."""
    for family in text_string_to_metric_families(metrics.exposition().decode()):
        for each in family.samples:
            if each.name == name and each.labels.items() >= labels.items() and "le" not in each.labels:
                return each.value
    return None


async def becomes(name: str, is_right: Callable[[float], bool], **labels: str) -> None:
    async def look() -> bool:
        value = sample(name, **labels)
        return value is not None and is_right(value)

    await eventually(look, f"{name}{labels}, now {sample(name, **labels)}")


async def work(client: Client) -> None:
    outcome = await client.send(Deposit(cents=1), "a")
    await client.ask(GetBalance(account="a"), after_position=outcome.position)


@pytest.mark.parametrize(("name", "labels"), MOVING, ids=lambda value: value if isinstance(value, str) else "")
async def test_it_moves_with_each_command(settings: Settings, name: str, labels: dict[str, str]) -> None:
    async with working([accounts], settings) as client:
        before = sample(name, **labels) or 0.0
        await work(client)
        await becomes(name, lambda value: value > before, **labels)


async def test_an_owner_tells_its_shards_and_nobody_does_afterwards(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("datapunk.shard.MEASURE_S", 0.1)
    async with working([accounts], settings):
        await becomes("shards_owned", lambda value: value == settings.shards, module="accounts")
        await becomes("queue_depth", lambda value: value == 0, queue="accounts.commands.0")
    assert sample("shards_owned", module="accounts") == 0
    assert sample("queue_depth", queue="accounts.commands.0") is None


async def test_the_depth_of_the_dead_letter_queue_is_told(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datapunk.shard.MEASURE_S", 0.1)
    async with working([accounts], settings) as client:
        before = sample("error_rate_total", service="accounts.shards", error_type="handler_failed") or 0.0
        assert (await client.send(Misbehave(how="decide"), "a")).status is Status.Failed
        await becomes("queue_depth", lambda value: value == 1, queue="accounts.dead")
        await becomes(
            "error_rate_total",
            lambda value: value == before + 1,
            service="accounts.shards",
            error_type="handler_failed",
        )


async def test_a_query_that_fails_is_an_error_of_the_service_that_measures_it(settings: Settings) -> None:
    labels = {"service": "accounts.queries", "error_type": "position_unknown"}
    async with working([accounts], settings) as client:
        outcome = await client.send(Deposit(cents=1), "a")
        before = sample("error_rate_total", **labels) or 0.0
        with pytest.raises(QueryFailed):
            await client.ask(GetBalance(account="a"), after_position=outcome.position + 100)
        await becomes("error_rate_total", lambda value: value == before + 1, **labels)
    assert sample("request_duration_seconds_count", service="accounts.queries", status="position_unknown")


async def test_confirmed_events_leave_the_outbox(settings: Settings) -> None:
    async with working([accounts], settings) as client:
        await work(client)
        await becomes("outbox_unconfirmed", lambda value: value == 0, module="accounts")


async def test_a_second_look_at_an_actor_is_answered_from_memory(settings: Settings) -> None:
    async with working([accounts], settings) as client:
        await work(client)
        assert sample("cache_hit_ratio", cache="accounts.actors") == 0
        await work(client)
        assert sample("cache_hit_ratio", cache="accounts.actors") == 1


async def test_a_projection_that_is_up_to_date_lags_by_nothing(settings: Settings) -> None:
    async with working([accounts], settings) as client:
        await work(client)
        for name in ("projection_lag_events", "projection_lag_seconds"):
            await becomes(name, lambda value: value == 0, projection="accounts.balances")
