import asyncio
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.propagate import inject as otel_inject
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from datapunk.settings import Settings
from datapunk.telemetry import traces

SAMPLED = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
UNSAMPLED = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"


@pytest.fixture
def exporter():
    exporter = InMemorySpanExporter()
    traces.configure(Settings(), "test", SimpleSpanProcessor(exporter))
    yield exporter
    traces.shutdown()


def trace_id(traceparent):
    return traceparent[3:35]


def test_off_a_span_hands_on_its_parent_and_makes_it_current():
    assert not traces.is_on()
    with traces.span("handle", parent=SAMPLED) as span:
        assert span.traceparent == SAMPLED
        assert traces.current() == SAMPLED
        assert traces.inject({}) == {"traceparent": SAMPLED}
    assert traces.current() is None
    assert traces.inject({}) == {}
    assert traces.record("decide", SAMPLED, 0) == SAMPLED
    assert traces.record("decide", None, 0) is None


def test_off_a_span_inside_another_still_knows_the_trace():
    with traces.span("outer", parent=SAMPLED), traces.span("inner") as inner:
        assert inner.traceparent == SAMPLED


def test_a_client_that_uses_opentelemetry_itself_sees_the_same_context():
    carrier: dict[str, str] = {}
    with traces.span("handle", parent=SAMPLED):
        otel_inject(carrier)
    assert carrier["traceparent"] == SAMPLED


def test_on_a_span_continues_its_parents_trace(exporter):
    with traces.span("handle", parent=SAMPLED, kind=traces.CONSUMER, attributes={"type": "t"}) as span:
        assert trace_id(span.traceparent) == trace_id(SAMPLED)
        assert span.traceparent != SAMPLED
        span.set("outcome", "accepted")

    (made,) = exporter.get_finished_spans()
    assert made.name == "handle"
    assert f"{made.parent.span_id:016x}" == "b7ad6b7169203331"
    assert made.attributes == {"type": "t", "outcome": "accepted"}
    assert made.resource.attributes["service.name"] == "test"


def test_a_failed_block_is_a_failed_span_and_a_cancelled_one_is_not(exporter):
    with pytest.raises(ValueError, match="no good"), traces.span("broken"):
        raise ValueError("no good")
    with pytest.raises(asyncio.CancelledError), traces.span("cancelled"):
        raise asyncio.CancelledError

    broken, cancelled = exporter.get_finished_spans()
    assert broken.status.status_code is StatusCode.ERROR
    assert cancelled.status.status_code is StatusCode.UNSET


def test_steps_recorded_after_the_fact_form_one_trace(exporter):
    start = time.time_ns()
    decided = traces.record("decide", SAMPLED, start, start + 5)
    published = traces.record("publish", decided, start + 5, start + 9, error="refused")

    first, second = exporter.get_finished_spans()
    assert (first.start_time, first.end_time) == (start, start + 5)
    assert second.parent.span_id == first.context.span_id
    assert second.status.description == "refused"
    assert trace_id(decided) == trace_id(published) == trace_id(SAMPLED)


def test_a_step_without_a_parent_begins_a_trace_even_inside_another_span(exporter):
    with traces.span("batch") as batch:
        alone = traces.record("decide", None, time.time_ns())
    assert trace_id(alone) != trace_id(batch.traceparent)


def test_a_batch_names_its_messages_by_links(exporter):
    with traces.span("commit", links=[SAMPLED, None, UNSAMPLED, SAMPLED]):
        pass
    (made,) = exporter.get_finished_spans()
    assert len(made.links) == 2


def test_what_its_sender_did_not_sample_costs_no_span(exporter):
    assert traces.record("decide", UNSAMPLED, 0) == UNSAMPLED
    with traces.span("handle", parent=UNSAMPLED) as span:
        assert span.traceparent.endswith("-00")
    assert exporter.get_finished_spans() == ()


@pytest.mark.parametrize(
    "value",
    [
        None,
        "",
        7,
        SAMPLED[:-1],
        SAMPLED + "0",
        SAMPLED.upper(),
        "ff" + SAMPLED[2:],
        "00-" + "0" * 32 + "-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-" + "0" * 16 + "-01",
        SAMPLED.replace("-", "_"),
        SAMPLED[:-1] + "é",
        SAMPLED[:-1] + "١",  # a digit, and not one of ours
    ],
)
def test_a_traceparent_that_is_not_valid_is_ignored(value):
    assert traces.traceparent_of({"traceparent": value}) is None


def test_a_traceparent_is_found_as_text_or_bytes_and_of_later_versions():
    assert traces.traceparent_of({"traceparent": SAMPLED}) == SAMPLED
    assert traces.traceparent_of({"traceparent": SAMPLED.encode()}) == SAMPLED
    later = "01" + SAMPLED[2:] + "-more"
    assert traces.traceparent_of({"traceparent": later}) == later
    assert traces.traceparent_of({}) is None
    assert traces.traceparent_of(None) is None


@given(st.one_of(st.text(max_size=60), st.from_regex(r"[0f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}.{0,2}")))
def test_we_never_accept_what_opentelemetry_would_not(text):
    from opentelemetry import trace

    if traces.traceparent_of({"traceparent": text}) is not None:
        context = TraceContextTextMapPropagator().extract({"traceparent": text}, context={})
        theirs = trace.get_current_span(context).get_span_context()
        assert theirs.is_valid
        assert (f"{theirs.trace_id:032x}", f"{theirs.span_id:016x}") == (text[3:35], text[36:52])


def test_untraced_messages_cost_next_to_nothing():
    headers = {"traceparent": SAMPLED, "actor-id": "weather"}
    rounds = 20_000
    start = time.perf_counter()
    for _ in range(rounds):
        traces.record("decide", traces.traceparent_of(headers), 0)
    assert (time.perf_counter() - start) / rounds < 10e-6  # seconds; about 1 µs when the machine is idle
