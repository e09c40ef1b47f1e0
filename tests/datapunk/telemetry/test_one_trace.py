"""One trace from the client over the shard, the store and the event to the projection and the answer."""

from __future__ import annotations

import io
import json
import os
from collections.abc import AsyncIterator

import httpx
import pytest

from datapunk.messages.outcome import Status
from datapunk.settings import Settings
from datapunk.telemetry import logs, traces
from tests.accounts.commands import Deposit, OpenAccount
from tests.accounts.module import accounts
from tests.accounts.queries import GetBalance
from tests.collector import Collector, Span, collecting
from tests.raw import raw_client
from tests.serving import serving
from tests.working import eventually, working

TRACE = "0af7651916cd43dd8448eb211c80319c"
TRACEPARENT = f"00-{TRACE}-b7ad6b7169203331-01"
STAGES = {
    "decide accounts.Deposit",
    "commit accounts.Deposit",
    "publish accounts.Deposited",
    "project accounts.Deposited",
}


@pytest.fixture
async def collector(settings: Settings) -> AsyncIterator[Collector]:
    os.environ["OTEL_BSP_SCHEDULE_DELAY"] = "100"  # milliseconds
    with collecting() as collector:
        traces.configure(settings.model_copy(update={"otlp_endpoint": collector.url}), "test")
        try:
            yield collector
        finally:
            traces.shutdown()
            del os.environ["OTEL_BSP_SCHEDULE_DELAY"]


async def trace_with(collector: Collector, names: set[str], trace_id: str = TRACE) -> dict[str, Span]:
    async def look() -> dict[str, Span] | None:
        spans = collector.of_trace(trace_id)
        return spans if names <= set(spans) else None

    return await eventually(look, f"spans {names} of {trace_id}, among {[span.name for span in collector.spans]}")


async def test_every_stage_of_a_command_is_one_trace(settings: Settings, collector: Collector) -> None:
    async with working([accounts], settings) as client:
        with traces.span("the client's own", TRACEPARENT):
            outcome = await client.send(Deposit(cents=1), "a")
        assert outcome.status is Status.Accepted
        spans = await trace_with(collector, {"the client's own", "publish accounts.Deposit", *STAGES})
    own, published, decided = (
        spans[name] for name in ("the client's own", "publish accounts.Deposit", "decide accounts.Deposit")
    )
    assert own.parent_id == TRACEPARENT[36:52]
    assert published.parent_id == own.span_id
    assert decided.parent_id == published.span_id, "the link over the broker's headers"
    for name in STAGES - {"decide accounts.Deposit"}:
        assert spans[name].parent_id == decided.span_id, name


async def test_a_trace_that_begins_over_http_ends_in_the_projection(settings: Settings, collector: Collector) -> None:
    async with working([accounts], settings), serving([accounts], settings) as http:
        await http.post(
            "/v1/commands/accounts.Deposit",
            json={"cents": 1},
            headers={"Actor-Id": "a", "traceparent": TRACEPARENT},
            params={"wait": 20},
        )
        spans = await trace_with(collector, {"HTTP POST", "publish accounts.Deposit", *STAGES})
    assert spans["HTTP POST"].parent_id == TRACEPARENT[36:52]
    assert spans["HTTP POST"].attributes["http.route"] == "/v1/commands/{type}"
    assert spans["publish accounts.Deposit"].parent_id == spans["HTTP POST"].span_id


async def test_a_query_is_traced_to_its_answer(settings: Settings, collector: Collector) -> None:
    async with working([accounts], settings) as client:
        outcome = await client.send(Deposit(cents=1), "a")
        with traces.span("asking", TRACEPARENT):
            await client.ask(GetBalance(account="a"), after_position=outcome.position)
        spans = await trace_with(collector, {"ask accounts.GetBalance", "answer accounts.GetBalance"})
    assert spans["answer accounts.GetBalance"].parent_id == spans["ask accounts.GetBalance"].span_id


async def test_the_event_on_the_broker_carries_the_trace_on(settings: Settings, collector: Collector) -> None:
    async with working([accounts], settings), raw_client(settings) as raw:
        events = await raw.follow("accounts")
        await raw.publish(
            "accounts.commands",
            "accounts.Deposit",
            b'{"cents":1}',
            headers={"actor-id": "a", "traceparent": TRACEPARENT},
        )
        event = await events.get()
        spans = await trace_with(collector, STAGES)
    assert event.headers["traceparent"] == f"00-{TRACE}-{spans['decide accounts.Deposit'].span_id}-01"


async def test_a_command_that_fails_leaves_a_failed_span(settings: Settings, collector: Collector) -> None:
    async with working([accounts], settings), raw_client(settings) as raw:
        await raw.publish(
            "accounts.commands",
            "accounts.Misbehave",
            b'{"how":"decide"}',
            headers={"actor-id": "a", "traceparent": TRACEPARENT},
        )
        spans = await trace_with(collector, {"decide accounts.Misbehave"})
    assert spans["decide accounts.Misbehave"].attributes["datapunk.outcome"] == "handler_failed"


async def test_the_log_of_a_dead_letter_names_its_trace_and_correlation_id(settings: Settings) -> None:
    stream = io.StringIO()
    logs.configure(settings, "accounts", stream)
    async with working([accounts], settings), raw_client(settings) as raw:
        await raw.publish(
            "accounts.commands",
            "accounts.Misbehave",
            b'{"how":"decide"}',
            headers={"actor-id": "a", "traceparent": TRACEPARENT},
            correlation_id="c-7",
        )
        await raw.dead_letter()
    (line,) = [line for line in map(json.loads, stream.getvalue().splitlines()) if line["message"] == "dead_letter"]
    assert (line["trace_id"], line["correlation_id"]) == (TRACE, "c-7")


async def test_without_a_collector_the_senders_trace_is_handed_on_as_it_came(settings: Settings) -> None:
    async with working([accounts], settings), raw_client(settings) as raw:
        events = await raw.follow("accounts")
        await raw.publish(
            "accounts.commands",
            "accounts.Deposit",
            b'{"cents":1}',
            headers={"actor-id": "a", "traceparent": TRACEPARENT},
        )
        assert (await events.get()).headers["traceparent"] == TRACEPARENT


async def test_a_collector_that_is_away_holds_up_nothing(settings: Settings) -> None:
    traces.configure(settings.model_copy(update={"otlp_endpoint": "http://127.0.0.1:1"}), "test")
    try:
        async with working([accounts], settings) as client:
            assert (await client.send(Deposit(cents=1), "a")).status is Status.Accepted
    finally:
        traces.shutdown()


async def test_trace_and_correlation_id_are_on_the_event_that_followers_hear(settings: Settings) -> None:
    async with working([accounts], settings), serving([accounts], settings) as http:
        answer: httpx.Response = await http.post(
            "/v1/commands/accounts.Deposit",
            json={"cents": 1},
            headers={"Actor-Id": "a", "traceparent": TRACEPARENT, "Correlation-Id": "c-1"},
            params={"wait": 20},
        )
        assert answer.status_code == 200
        async with http.stream("GET", "/v1/events", params={"after": 0}) as events:
            async for line in events.aiter_lines():
                if line.startswith("data: "):
                    break
    assert TRACE in line
    assert '"correlationid":"c-1"' in line


async def test_a_trace_goes_through_the_workflow_that_its_event_starts(
    settings_with_temporal: Settings, collector: Collector
) -> None:
    async with working([accounts], settings_with_temporal, with_workflows=True) as client:
        with traces.span("the client's own", TRACEPARENT):
            await client.send(OpenAccount(owner="Ann"), "a")
        await client.send(Deposit(cents=1), "a")
        spans = await trace_with(
            collector, {"RunWorkflow:RewardFirstDeposit", "RunActivity:datapunk.send", "decide accounts.Deposit"}
        )
    sent = spans["publish accounts.Deposit"]
    assert sent.parent_id == spans["RunActivity:datapunk.send"].span_id
