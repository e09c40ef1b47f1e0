"""Traces: one trace from the client that publishes a command to the projection that shows its effect.

A message carries its sender's position in the trace as the header `traceparent` (W3C Trace Context, level 1);
here it's handled as that very text, so that an engine that moves thousands of messages a second pays nothing
for those that nobody traces: without `DATAPUNK_OTLP_ENDPOINT`, or for a message that its sender didn't
sample, no span is made and the text is handed on as it came.

    client:    with span("publish lake.CreateDataset", kind=PRODUCER): inject(headers)
    shard:     decided = record("decide lake.CreateDataset", traceparent_of(headers), started_ns, ended_ns)
               record("commit lake.CreateDataset", decided, …)
               record("publish lake.DatasetCreated", decided, …) ; the event's header is `decided`
    projector: record("project lake.DatasetCreated", traceparent_of(event headers), …)

`OTEL_TRACES_SAMPLER` and `OTEL_TRACES_SAMPLER_ARG` choose how much is traced (by default all).
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, MutableMapping
from contextvars import Token
from types import TracebackType
from typing import Any

from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    Tracer,
)

from datapunk.settings import Settings

CONSUMER, PRODUCER, SERVER, CLIENT, INTERNAL = (
    SpanKind.CONSUMER,
    SpanKind.PRODUCER,
    SpanKind.SERVER,
    SpanKind.CLIENT,
    SpanKind.INTERNAL,
)
MOST_LINKS = 128  # the SDK's own limit a span: more would be dropped anyway
EXPORT_TIMEOUT_S = 3.0  # for one batch of spans, retries included: how long an absent collector delays a stop

AttributeValue = str | bool | int | float
Attributes = Mapping[str, AttributeValue]

_LENGTH = 55  # 00-<32 hex>-<16 hex>-<2 hex>
_ZERO_TRACE, _ZERO_SPAN = "0" * 32, "0" * 16
_HEX = frozenset("0123456789abcdef")

_tracer: Tracer | None = None
_provider: TracerProvider | None = None


def configure(settings: Settings, service: str, processor: SpanProcessor | None = None) -> None:
    """Start to send spans to the collector that the settings name; without one, nothing is made or sent.

    Args:
        settings: for `otlp_endpoint`, the collector's base URL, as in `http://127.0.0.1:4318`.
        service: who speaks.
        processor: takes the spans instead of the collector (tests collect them in memory).
    """
    global _tracer, _provider
    shutdown()
    if processor is None:
        if settings.otlp_endpoint is None:
            return
        processor = BatchSpanProcessor(_otlp_exporter(settings.otlp_endpoint))
    _provider = TracerProvider(resource=Resource.create({SERVICE_NAME: service}))
    _provider.add_span_processor(processor)
    _tracer = _provider.get_tracer("datapunk")


def shutdown() -> None:
    """Send what is still waiting, then stop tracing."""
    global _tracer, _provider
    if _provider is not None:
        _provider.shutdown()
    _tracer = _provider = None


def is_on() -> bool:
    """Whether any span can be made at all in this process."""
    return _tracer is not None


def tracer() -> Tracer | None:
    """For a library that makes spans by itself; None if none are made."""
    return _tracer


def traceparent_of(headers: Mapping[str, Any] | None) -> str | None:
    """The `traceparent` among a message's headers; None where it's missing or not valid, and so ignored."""
    if not headers:
        return None
    value = headers.get("traceparent")
    if isinstance(value, bytes):
        value = value.decode("latin-1")
    return value if isinstance(value, str) and _is_valid(value) else None


def inject(headers: MutableMapping[str, Any], traceparent: str | None = None) -> MutableMapping[str, Any]:
    """Set the header `traceparent` to the one given, else to the current span's; with neither, do nothing."""
    traceparent = traceparent or current()
    if traceparent is not None:
        headers["traceparent"] = traceparent
    return headers


def current() -> str | None:
    """The `traceparent` of the current span, or None outside of any."""
    context = trace.get_current_span().get_span_context()
    return _text(context) if context.is_valid else None


def current_ids() -> tuple[str | None, str | None]:
    """Trace id (32 hexadecimal digits) and span id (16) of the current span, or None and None."""
    context = trace.get_current_span().get_span_context()
    return (f"{context.trace_id:032x}", f"{context.span_id:016x}") if context.is_valid else (None, None)


def span(
    name: str,
    parent: str | None = None,
    *,
    kind: SpanKind = SpanKind.INTERNAL,
    links: Iterable[str | None] = (),
    attributes: Attributes | None = None,
) -> Span:
    """A span around a block of code, current while the block runs; an exception marks it as failed.

    Args:
        name: what is done, low in cardinality, as in `decide lake.CreateDataset`.
        parent: a `traceparent`; None: the current span, else a new trace.
        kind: its role; producers and consumers of messages have their own.
        links: `traceparent`s of others it belongs to: how a batch names its messages. None is skipped.
        attributes: what to tell about it.
    """
    return Span(name, parent, kind, links, attributes)


def record(
    name: str,
    parent: str | None,
    start_ns: int,
    end_ns: int | None = None,
    *,
    kind: SpanKind = SpanKind.INTERNAL,
    links: Iterable[str | None] = (),
    attributes: Attributes | None = None,
    error: str | None = None,
) -> str | None:
    """Make a span of something that is over already: for one message out of a batch.

    Args:
        name: what was done.
        parent: a `traceparent`; None: a new trace.
        start_ns: when it began, by `time.time_ns()`.
        end_ns: when it ended; by default now.
        kind: its role.
        links: as in `span`.
        attributes: what to tell about it.
        error: if it failed, why.

    Returns:
        The new span's `traceparent`, to hand to what follows from it; where nothing is traced, `parent`.
    """
    if _tracer is None or (parent is not None and not _is_sampled(parent)):
        return parent
    made = _tracer.start_span(
        name,
        context=_context(parent) if parent is not None else Context(),
        kind=kind,
        links=_links(links),
        attributes=attributes,
        start_time=start_ns,
    )
    if error is not None:
        made.set_status(Status(StatusCode.ERROR, error))
    made.end(end_ns if end_ns is not None else time.time_ns())
    return _text(made.get_span_context())


class Span:
    """See `span`. Off, it only makes `parent` current, so that logs and outgoing messages go on naming it.

    Attributes:
        traceparent: this span's own while tracing is on, else its parent's, else None.
    """

    __slots__ = ("_attributes", "_kind", "_links", "_name", "_otel", "_parent", "_token", "traceparent")

    def __init__(
        self,
        name: str,
        parent: str | None,
        kind: SpanKind,
        links: Iterable[str | None],
        attributes: Attributes | None,
    ) -> None:
        self._name, self._parent, self._kind, self._links, self._attributes = (
            name,
            parent,
            kind,
            links,
            attributes,
        )
        self._otel: trace.Span | None = None
        self._token: Token[Context] | None = None
        self.traceparent = parent

    def __enter__(self) -> Span:
        """Start it, and make it the current one."""
        if _tracer is None:
            if self._parent is not None:
                self._token = otel_context.attach(_context(self._parent))
            else:
                self.traceparent = current()
            return self
        made = _tracer.start_span(
            self._name,
            context=_context(self._parent) if self._parent is not None else None,
            kind=self._kind,
            links=_links(self._links),
            attributes=self._attributes,
        )
        self._otel = made
        self.traceparent = _text(made.get_span_context())
        self._token = otel_context.attach(trace.set_span_in_context(made))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """End it; an exception passes on."""
        if self._otel is not None:
            if isinstance(error, Exception):  # a cancelled task didn't fail
                self.fail(error)
            self._otel.end()
        if self._token is not None:
            otel_context.detach(self._token)

    def set(self, name: str, value: AttributeValue) -> None:
        """Tell something about it that wasn't known at its start."""
        if self._otel is not None:
            self._otel.set_attribute(name, value)

    def fail(self, error: BaseException | str) -> None:
        """Mark it as failed."""
        if self._otel is not None:
            if isinstance(error, BaseException):
                self._otel.record_exception(error)
            self._otel.set_status(Status(StatusCode.ERROR, str(error)))


def _is_valid(text: str) -> bool:
    if len(text) < _LENGTH or text[2] != "-" or text[35] != "-" or text[52] != "-":
        return False
    version, trace_id, span_id, flags = text[:2], text[3:35], text[36:52], text[53:55]
    if version == "ff" or (version == "00" and len(text) != _LENGTH):
        return False
    if len(text) > _LENGTH and text[_LENGTH] != "-":  # a later version may append, after a dash
        return False
    if trace_id == _ZERO_TRACE or span_id == _ZERO_SPAN:
        return False
    return _HEX.issuperset(version + trace_id + span_id + flags)


def _is_sampled(traceparent: str) -> bool:
    return int(traceparent[53:55], 16) & TraceFlags.SAMPLED != 0


def _text(context: SpanContext) -> str:
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"


def _span_context(traceparent: str) -> SpanContext:
    return SpanContext(
        trace_id=int(traceparent[3:35], 16),
        span_id=int(traceparent[36:52], 16),
        is_remote=True,
        trace_flags=TraceFlags(int(traceparent[53:55], 16)),
    )


def _context(traceparent: str) -> Context:
    return trace.set_span_in_context(NonRecordingSpan(_span_context(traceparent)))


def _links(traceparents: Iterable[str | None]) -> list[Link]:
    links: list[Link] = []
    for traceparent in traceparents:
        if traceparent is not None and _is_sampled(traceparent):
            links.append(Link(_span_context(traceparent)))
            if len(links) == MOST_LINKS:
                break
    return links


def _otlp_exporter(endpoint: str) -> SpanExporter:
    # Imported late: it pulls in `requests` and protobuf, which no process without a collector needs.
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    return OTLPSpanExporter(endpoint=endpoint.rstrip("/") + "/v1/traces", timeout=EXPORT_TIMEOUT_S)
