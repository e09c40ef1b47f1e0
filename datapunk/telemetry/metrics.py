"""Metrics: every metric object of the platform, in one place, by the names that dashboards and alerts use.

In a hot path keep what `.labels(…)` returns, and count a batch at once (`.inc(n)`): a look-up costs a
microsecond.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

import psutil
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

CONTENT_TYPE = CONTENT_TYPE_LATEST

FAST_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
REQUEST_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
BATCH_SIZES = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000)

# --- requests and errors of any service ---------------------------------------------------------------

REQUEST_DURATION = Histogram(
    "request_duration_seconds",
    "How long requests took, by route (not by path) and status",
    ["service", "endpoint", "status"],
    buckets=REQUEST_SECONDS,
)
REQUESTS_IN_PROGRESS = Gauge("requests_in_progress", "Requests being answered now", ["service"])
ERRORS = Counter("error_rate", "Errors, by their code (rejections are not errors)", ["service", "error_type"])
DEPENDENCY_UP = Gauge("dependency_up", "1 while the dependency answers", ["service", "dependency"])
BREAKER_CHANGES = Counter(
    "breaker_changes",
    "Circuit breakers that changed, by what to: opened, half-opened, closed; by the process that made it so",
    ["service", "state"],
)
EVENT_STREAMS = Gauge("event_streams_open", "Clients that follow events over HTTP", ["service"])
EVENT_STREAMS_ENDED = Counter(
    "event_streams_ended",
    "Why streams of events over HTTP ended: left, stopped, failed",
    ["service", "reason"],
)

# --- the shard engine ---------------------------------------------------------------------------------

COMMANDS_HANDLED = Counter(
    "commands_handled",
    "Commands by outcome: accepted, rejected, failed, duplicate",
    ["module", "type", "outcome"],
)
COMMAND_DURATION = Histogram(
    "command_duration_seconds", "From a command's delivery to its reply", ["module"], buckets=FAST_SECONDS
)
SHARD_BATCH_SIZE = Histogram("shard_batch_size", "Commands decided in one transaction", ["module"], buckets=BATCH_SIZES)
SHARD_BATCH_DURATION = Histogram(
    "shard_batch_seconds",
    "Time of a batch by stage: load, decide, commit, publish, reply",
    ["module", "stage"],
    buckets=FAST_SECONDS,
)
SHARDS_OWNED = Gauge("shards_owned", "Shards this process owns", ["module"])
OUTBOX_UNCONFIRMED = Gauge(
    "outbox_unconfirmed", "Events committed over a second ago and not yet confirmed by the broker", ["module"]
)
EVENTS_PUBLISHED = Counter("events_published", "Events confirmed by the broker", ["module"])
DEAD_LETTERS = Counter("dead_letters", "Messages put aside, by reason", ["module", "reason"])
DEAD_LETTERS_OPEN = Gauge(
    "dead_letters_open",
    "Messages put aside that aren't dealt with: retrying, parked (they wait for a person), redriven; each worker of "
    "Nexus tells the same",
    ["module", "reason", "state"],
)
CACHE_HIT_RATIO = Gauge(
    "cache_hit_ratio", "Share of look-ups answered from a cache, over the last batches or 100 look-ups", ["cache"]
)
CACHE_LOOKUPS = Counter(
    "cache_lookups",
    "Look-ups for answers by where they came from: local (memory), central (Redis), joined (another one's reading), "
    "read (and kept), bypassed (read past the cache)",
    ["cache", "result"],
)
QUEUE_DEPTH = Gauge("queue_depth", "Messages ready in a queue", ["queue"])

# --- projections --------------------------------------------------------------------------------------

PROJECTION_LAG_EVENTS = Gauge(
    "projection_lag_events", "Positions between the last event and the checkpoint", ["projection"]
)
PROJECTION_LAG_SECONDS = Gauge(
    "projection_lag_seconds", "Age of the oldest event not yet applied; 0 when all are", ["projection"]
)
EVENTS_PROJECTED = Counter("events_projected", "Events applied", ["projection"])
PROJECTION_BATCH_DURATION = Histogram(
    "projection_batch_seconds", "Time to apply one batch of events", ["projection"], buckets=FAST_SECONDS
)

# --- workflows ----------------------------------------------------------------------------------------

WORKFLOW_EVENTS = Counter("workflow_events", "Events that started or signalled workflows", ["module", "workflow"])


def exposition() -> bytes:
    """All metrics of this process in Prometheus' text format; its content type is `CONTENT_TYPE`."""
    return generate_latest(REGISTRY)


class ResourceUsage(Collector):
    """`resource_usage{service,resource_type}`: what this process takes, measured when somebody looks.

    Resource types: `cpu_seconds` (since its start), `memory_bytes` (resident), `threads`, `file_descriptors`.
    """

    def __init__(self, service: str) -> None:
        self._service = service
        self._process = psutil.Process()

    def collect(self) -> Iterator[Metric]:
        """One sample for each resource type that this system can tell."""
        usage = GaugeMetricFamily(
            "resource_usage", "What the process takes, by resource type", labels=["service", "resource_type"]
        )
        with suppress(psutil.Error, OSError), self._process.oneshot():
            cpu = self._process.cpu_times()
            usage.add_metric([self._service, "cpu_seconds"], cpu.user + cpu.system)
            usage.add_metric([self._service, "memory_bytes"], self._process.memory_info().rss)
            usage.add_metric([self._service, "threads"], self._process.num_threads())
            usage.add_metric([self._service, "file_descriptors"], self._process.num_fds())
        yield usage


_resource_usage: ResourceUsage | None = None


def configure(service: str) -> None:
    """Name this process in `resource_usage`; called again, the last name counts."""
    global _resource_usage
    if _resource_usage is not None:
        REGISTRY.unregister(_resource_usage)
    _resource_usage = ResourceUsage(service)
    REGISTRY.register(_resource_usage)
